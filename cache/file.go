package cache

import (
	"context"
	"errors"
	"io"

	"github.com/imagefs/imagefs/image"
)

// File is one reader's view of an image, and the owner of what is prefetched for
// that reader. It is safe for concurrent use.
type File struct {
	cache *Cache
	of    *contents
	size  int64 // bytes

	// Guarded by Cache.mu.
	closed bool
	wants  map[int64]*pending // blocks fetched ahead for this File, by index
}

// slot is one block of a read: pinned when it is resident, else awaited.
type slot struct {
	block *block
	await *pending
}

// errFileClosed is the cause when a File is read after Close.
var errFileClosed = errors.New("the file is closed")

// Size returns the image's size in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads len(p) bytes at off, as io.ReaderAt does, and reports whether it
// had to wait. The spans of ahead are prefetched as by Prefetch, behind what the
// read itself needs. When ctx ends, the waiting ends with kind Interrupted (or
// Stalled for a deadline); the fetch goes on if others want it. n bytes of p are
// good also beside an error.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64, ahead ...image.Span) (n int, waited bool, err error) {
	if off < 0 {
		return 0, false, readError(f.of.id.key.ID, errors.New("negative offset"))
	}
	end := min(f.size, off+int64(len(p)))
	for off+int64(n) < end {
		at := off + int64(n)
		stop := min(end, (at/BlockSize+f.cache.piece)*BlockSize)
		m, w, err := f.readPiece(ctx, p[n:stop-off], at, ahead)
		ahead = nil
		n += m
		waited = waited || w
		if err != nil {
			return n, waited, err
		}
	}
	if len(ahead) > 0 {
		f.Prefetch(ahead...)
	}
	if n < len(p) {
		return n, waited, io.EOF
	}
	return n, waited, nil
}

// readPiece reads all of p, which lies inside the image and covers at most
// pieceBlocks blocks.
func (f *File) readPiece(ctx context.Context, p []byte, off int64, ahead []image.Span) (n int, waited bool, err error) {
	var store [pieceBlocks]slot
	first, end := blockRange(image.Span{Off: off, Len: int64(len(p))})
	slots := store[:end-first]
	c := f.cache
	id := f.of.id.key.ID

	c.mu.Lock()
	if err := f.usable(); err != nil {
		c.mu.Unlock()
		return 0, false, readError(id, err)
	}
	c.acquire(f.of, first, slots)
	f.want(ahead)
	c.mu.Unlock()

	for i := range slots {
		b := slots[i].block
		if b == nil {
			var w bool
			b, w, err = slots[i].await.wait(ctx)
			waited = waited || w
			if err != nil {
				err = readError(id, err)
				break
			}
		}
		n += copy(p[n:], b.data[off+int64(n)-(first+int64(i))*BlockSize:])
	}

	c.mu.Lock()
	for i := range slots {
		c.release(&slots[i])
	}
	c.mu.Unlock()
	return n, waited, err
}

// usable returns the cause when neither File nor Cache can be read any more.
// Cache.mu is held.
func (f *File) usable() error {
	switch {
	case f.cache.closed:
		return errClosed
	case f.closed:
		return errFileClosed
	}
	return nil
}

// Cached copies the bytes at off that are resident into p, up to the first block
// that is not or the end of the image, and returns how many. It fetches nothing.
func (f *File) Cached(p []byte, off int64) (n int) {
	c := f.cache
	end := min(f.size, off+int64(len(p)))
	for at := max(0, off); at < end; at = off + int64(n) {
		index := at / BlockSize
		c.mu.Lock()
		b := c.memory.get(blockID{f.of, index})
		if b == nil {
			c.mu.Unlock()
			break
		}
		c.counts.hits++
		c.mu.Unlock()
		n += copy(p[n:end-off], b.data[at-index*BlockSize:])
		c.mu.Lock()
		c.memory.unpin(b)
		c.mu.Unlock()
	}
	return n
}

// Add makes a block resident whose bytes came another way than by a fetch: from
// the whole stream of a store without ranges. The bytes are copied. It reports
// whether data has the length of that block; if not, nothing is kept.
func (f *File) Add(index int64, data []byte) bool {
	if index < 0 || int64(len(data)) != BlockSpan(index, f.size).Len || len(data) == 0 {
		return false
	}
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.fetched += int64(len(data))
	id := blockID{f.of, index}
	if c.closed || f.closed || c.memory.touch(id) {
		return true
	}
	b := &block{data: c.memory.buffer(int64(len(data))), refs: 1}
	// The copy is made under the lock: the buffer must not be seen half full, and
	// 128 KiB take some ten microseconds.
	copy(b.data, data)
	c.memory.put(id, b)
	c.memory.unpin(b)
	return true
}

// Prefetch fetches the blocks of the spans that are missing, behind all demand,
// one request for each span unless it is longer than MaxSpan. The interest in a
// block ends when it has arrived, by Abandon, or by Close. It never waits.
func (f *File) Prefetch(spans ...image.Span) {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.usable() == nil {
		f.want(spans)
	}
}

// Abandon ends this File's interest in prefetched blocks of s that have not
// arrived.
func (f *File) Abandon(s image.Span) {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	first, end := blockRange(s.Clip(f.size))
	for index, p := range f.wants {
		if index >= first && index < end {
			f.cache.disown(p, f)
		}
	}
}

// Close ends the File and its interest in what was prefetched for it. Blocks that
// have arrived stay in the cache; reads under way go on. It may be called more
// than once, and always returns nil.
func (f *File) Close() error {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	for _, p := range f.wants {
		f.cache.disown(p, f)
	}
	f.of.files--
	f.of.prune()
	return nil
}
