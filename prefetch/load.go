package prefetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/format"
	"github.com/imagefs/imagefs/image"
)

// Part is what is to be loaded of an image. The zero value is all of it.
type Part struct {
	Head int64 // so many bytes from its beginning; 0: to its end
	// Metadata: only what programs read to open the disk, which are its first and last
	// bytes and the tables of its format. Head is ignored.
	Metadata bool
}

// Len is how many bytes of an image of this size the part has; of Metadata 0, for nobody
// knows before it was read, and it is little.
func (p Part) Len(size int64) int64 {
	switch {
	case p.Metadata:
		return 0
	case p.Head > 0:
		return min(p.Head, size)
	}
	return size
}

const (
	// keptBehind is how far behind what was loaded the cache is asked whether it has kept
	// it, in bytes: more than waits for the disk at a time.
	keptBehind = 64 << 20
	// settleLimit is how long the cache may take to keep what it has got while nothing of
	// it becomes less: longer than it waits for a slow disk.
	settleLimit = 5 * time.Second
	// settlePoll is how often it is asked then: a block is written in less.
	settlePoll = 20 * time.Millisecond
)

// Load reads a part of an image, so that the cache has it, and returns when it is kept. told
// is called, by the caller's goroutine, with the bytes loaded and those to be loaded in all,
// which become more while the tables of a disk are found. When ctx ends, what was loaded
// stays. Kinds: those of a read, and LocalFull where the cache does not keep what it gets.
func (e *Engine) Load(ctx context.Context, img image.Image, part Part, told func(done, total int64)) error {
	r := e.Open(img)
	defer r.Close() //nolint:errcheck // always nil
	if r.Size() == 0 {
		return nil
	}
	noted, ended := e.noteLoad(img.ID)
	defer ended()
	l := &loading{reader: r, buffer: make([]byte, cache.MaxView), told: func(done, total int64) {
		noted.done.Store(done)
		noted.total.Store(total)
		told(done, total)
	}}
	var err error
	if part.Metadata {
		err = l.metadata(ctx)
	} else {
		head := image.Span{Len: part.Len(r.Size())}
		r.window.size = head.Len // nobody wants what is behind; nobody else has the reader
		err = l.load(ctx, head)
	}
	if err != nil {
		return err
	}
	return l.settle(ctx, l.parts...)
}

// loading is one Load. It belongs to one goroutine.
type loading struct {
	reader      *Reader
	buffer      []byte
	told        func(done, total int64)
	done, total int64        // bytes
	parts       []image.Span // of the image, loaded
}

// load reads the blocks of s.
func (l *loading) load(ctx context.Context, s image.Span) error {
	l.total += s.Len
	l.told(l.done, l.total)
	for at := s.Off; at < s.End(); {
		n := min(int64(len(l.buffer)), s.End()-at)
		b, err := l.reader.View(ctx, l.buffer[:n], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b.Release()
		at += n
		l.done += n
		l.told(l.done, l.total)
		if behind := at - n - keptBehind; behind >= s.Off { // else a full disk would show at the end only
			if err := l.settle(ctx, image.Span{Off: behind, Len: n}); err != nil {
				return err
			}
		}
	}
	l.parts = append(l.parts, s)
	return nil
}

// metadata reads the image's ends, and then the tables as far as they are known, until
// they tell of no more. A header can name a bounded number of bytes only.
func (l *loading) metadata(ctx context.Context) error {
	size := l.reader.Size()
	next := append(format.Opening(l.reader.img.DiskFormat, size), format.Span{Len: 1}, format.Span{Off: size - 1, Len: 1})
	loaded := map[int64]bool{} // blocks
	for range mostLooks {
		var fresh []int64
		for _, s := range next {
			for index := s.Off / cache.BlockSize; index < cache.Blocks(s.Off+s.Len); index++ {
				if !loaded[index] {
					loaded[index] = true
					fresh = append(fresh, index)
				}
			}
		}
		for _, s := range runs(fresh, size) {
			if err := l.load(ctx, s); err != nil {
				return err
			}
		}
		var err error
		if next, err = format.Metadata(readerAt{ctx, l.reader}, size); err != nil || len(fresh) == 0 {
			return err
		}
	}
	return nil
}

// settle waits until the cache has kept the spans, which is when their blocks have been
// written behind their reader. It fails when that does not come to an end.
func (l *loading) settle(ctx context.Context, spans ...image.Span) error {
	least, since := int64(-1), time.Now()
	for {
		var missing int64
		for _, s := range spans {
			missing += l.reader.file.Keep(s)
		}
		switch {
		case missing == 0:
			return nil
		case l.reader.file.Wrong() != nil:
			return l.reader.file.Wrong()
		case least < 0 || missing < least:
			least, since = missing, time.Now()
		case time.Since(since) >= settleLimit:
			return &image.Error{Op: "load", Image: l.reader.key.ID, Kind: image.LocalFull,
				Detail: fmt.Sprintf("the cache does not keep what it gets: %s went at once, as the disk is full, others need the room, or somebody has dropped it", humanize.IBytes(uint64(missing)))}
		}
		if err := image.Pause(ctx, settlePoll); err != nil {
			return &image.Error{Op: "load", Image: l.reader.key.ID, Kind: image.KindOf(err), Err: err}
		}
	}
}

// readerAt reads an image for as long as a context lasts.
type readerAt struct {
	ctx    context.Context
	reader *Reader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.reader.ReadAt(r.ctx, p, off) }
