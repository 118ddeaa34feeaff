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

// errFileClosed is the cause when a File is read after Close.
var errFileClosed = errors.New("the file is closed")

// Size returns the image's size in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads len(p) bytes at off, as io.ReaderAt does. The spans of ahead are prefetched as by Prefetch, behind what the
// read itself needs. When ctx ends, the waiting ends with kind Interrupted (or
// Stalled for a deadline); the fetch goes on if others want it. n bytes of p are
// good also beside an error.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64, ahead ...image.Span) (n int, err error) {
	if off < 0 {
		return 0, readError(f.of.id.key.ID, errors.New("negative offset"))
	}
	end := image.Span{Off: off, Len: int64(len(p))}.Clip(f.size).End()
	for off+int64(n) < end {
		at := off + int64(n)
		piece := min(end-at, f.cache.piece*BlockSize-at%BlockSize)
		m, err := f.readPiece(ctx, p[n:n+int(piece)], at, ahead)
		ahead = nil
		n += m
		if err != nil {
			return n, err
		}
	}
	if len(ahead) > 0 {
		f.Prefetch(ahead...)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readPiece reads all of p, which lies inside the image and covers at most
// pieceBlocks blocks.
func (f *File) readPiece(ctx context.Context, p []byte, off int64, ahead []image.Span) (n int, err error) {
	v := &View{file: f, off: off}
	defer v.Release()
	if err := v.acquire(int64(len(p)), ahead); err != nil {
		return 0, err
	}
	for n < len(p) {
		m, err := v.fill(ctx, p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// usable returns the cause when neither File nor Cache can be read any more.
// Cache.mu is held.
func (f *File) usable() error {
	switch {
	case f.cache.closed:
		return errClosed
	case f.closed:
		return errFileClosed
	case f.of.bad():
		return wrongBytes(f.of.id.key.ID)
	}
	return nil
}

// Wrong is the error with which reads fail once bytes of the image have turned out to be
// wrong; nil before.
func (f *File) Wrong() error {
	f.cache.mu.Lock()
	defer f.cache.unlock()
	if f.of.bad() {
		return wrongBytes(f.of.id.key.ID)
	}
	return nil
}

// Cached copies the bytes at off that are in memory or on the disk into p, up to the
// first block that is in neither or the end of the image, and returns how many. It
// fetches nothing.
func (f *File) Cached(p []byte, off int64) (n int) {
	c := f.cache
	end := min(f.size, off+int64(len(p)))
	for at := max(0, off); at < end; at = off + int64(n) {
		index := at / BlockSize
		c.mu.Lock()
		b, from := c.memory.get(blockID{f.of, index}), fromMemory
		if b != nil {
			c.counts.hits++
		}
		c.unlock()
		if b == nil {
			if b, from = f.blockFromDisk(index, true), fromDisk; b == nil {
				break
			}
		}
		copied := copy(p[n:end-off], b.data[at%BlockSize:])
		n += copied
		c.mu.Lock()
		c.counts.read[from] += int64(copied)
		c.memory.unpin(b)
		c.unlock()
	}
	return n
}

// Has reports whether all bytes of s, which lies inside the image, are in memory or on
// the disk.
func (f *File) Has(s image.Span) bool {
	f.cache.mu.Lock()
	defer f.cache.unlock()
	first, end := blockRange(s)
	for index := first; index < end; index++ {
		if !f.cache.memory.touch(blockID{f.of, index}) && !f.of.onDisk(index) {
			return false
		}
	}
	return true
}

// Add keeps a block whose bytes came another way than by a fetch: from the whole
// stream of a store without ranges. The bytes are copied. It reports whether data
// has the length of that block; if not, nothing is kept. The block is in memory when Add
// returns, and on its way to the disk, for which it waits no longer than a fetch does.
func (f *File) Add(index int64, data []byte) bool {
	if index < 0 || int64(len(data)) != BlockSpan(index, f.size).Len || len(data) == 0 {
		return false
	}
	c := f.cache
	c.mu.Lock()
	c.counts.fetched += int64(len(data))
	if f.usable() != nil {
		c.unlock()
		return true
	}
	id := blockID{f.of, index}
	b := c.memory.get(id)
	if b == nil {
		b = &block{data: c.memory.buffer(int64(len(data))), refs: 1}
		// The copy is made under the lock: the buffer must not be seen half full, and
		// a block takes some ten microseconds.
		copy(b.data, data)
		c.memory.put(id, b)
	}
	f.of.keeping++
	c.wg.Add(1) // so that keep may begin a goroutine when Close waits already
	c.unlock()
	defer c.wg.Done()
	c.keep(f.of, index, b)
	return true
}

// Streamed notes n bytes that a reader had to wait for and got another way than from
// here: from the whole stream of a store without ranges.
func (f *File) Streamed(n int) {
	f.cache.mu.Lock()
	defer f.cache.unlock()
	f.cache.counts.read[fromService] += int64(n)
}

// Prefetch fetches the blocks of the spans that are missing, behind all demand, one
// request for each run of them in a span, however long. The interest in a
// block ends when it has arrived, by Abandon, or by Close. It never waits.
func (f *File) Prefetch(spans ...image.Span) {
	f.cache.mu.Lock()
	defer f.cache.unlock()
	if f.usable() == nil {
		f.want(spans)
	}
}

// Abandon ends this File's interest in prefetched blocks of s that have not
// arrived.
func (f *File) Abandon(s image.Span) {
	f.cache.mu.Lock()
	defer f.cache.unlock()
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
	defer f.cache.unlock()
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
