package cache

import (
	"context"
	"fmt"
	"io"

	"github.com/imagefs/imagefs/image"
)

// MaxView is the most bytes of one View: all of them stay in memory, beyond the
// budget if need be, until it is released.
const MaxView = (pieceBlocks - 1) * BlockSize

// slot is one block of a read: pinned when it is resident, awaited when it is on
// its way. One that is neither is on the disk.
type slot struct {
	block *block
	await *pending
}

// View is a part of an image held in memory, to be handed on without a copy.
type View struct {
	file  *File
	off   int64
	slots []slot
	parts [][]byte
	len   int64          // bytes that were read
	from  [sources]int64 // of them
}

// View returns the bytes [off, off+n) of the image, fewer at its end and then with
// io.EOF, as ReadAt reads them. n is at most MaxView. The caller releases the View,
// which is not nil where the error is nil or io.EOF.
func (f *File) View(ctx context.Context, off, n int64, ahead ...image.Span) (v *View, err error) {
	if off < 0 || n > MaxView {
		return nil, readError(f.of.id.key.ID, fmt.Errorf("a view of %d bytes at %d", n, off))
	}
	span := image.Span{Off: off, Len: n}.Clip(f.size)
	v = &View{file: f, off: off}
	if span.Len > 0 {
		if err := v.acquire(span.Len, ahead); err != nil {
			return nil, err
		}
		for left := span.Len; left > 0; {
			at := span.End() - left
			part := min(left, BlockSize-at%BlockSize)
			if err := v.hold(ctx, at, part); err != nil {
				v.Release()
				return nil, err
			}
			left -= part
		}
	}
	if span.Len < n {
		err = io.EOF
	}
	return v, err
}

// Slices returns the bytes, block by block. They must not be changed, and not be
// read after Release.
func (v *View) Slices() [][]byte { return v.parts }

// Len is the number of bytes.
func (v *View) Len() int64 { return v.len }

// Release gives the bytes up. A second call does nothing.
func (v *View) Release() {
	if v.slots == nil {
		return
	}
	c, first := v.file.cache, v.off/BlockSize
	c.mu.Lock()
	for i := range v.slots {
		index := first + int64(i)
		if b := v.slots[i].pinned(); b != nil && v.off+v.len >= BlockSpan(index, v.file.size).End() {
			b.read = true
			c.leaveToDisk(blockID{v.file.of, index}, b)
		}
		c.release(&v.slots[i])
	}
	for s, n := range v.from {
		c.counts.read[s] += n
	}
	c.unlock()
	v.slots, v.parts = nil, nil
}

// acquire pins the blocks of the n bytes from the view's offset on, or begins to
// wait for them, and begins what the reader wants ahead.
func (v *View) acquire(n int64, ahead []image.Span) error {
	first, end := blockRange(image.Span{Off: v.off, Len: n})
	slots := make([]slot, end-first)
	f := v.file
	f.cache.mu.Lock()
	defer f.cache.unlock()
	if err := f.usable(); err != nil {
		return readError(f.of.id.key.ID, err)
	}
	v.slots = slots
	f.cache.acquire(f, first, slots, withDisk)
	f.want(ahead)
	return nil
}

// slot returns the slot of the block that holds off.
func (v *View) slot(off int64) *slot { return &v.slots[off/BlockSize-v.off/BlockSize] }

// hold adds n bytes at off, of one block, to the view.
func (v *View) hold(ctx context.Context, off, n int64) error {
	s, from := v.slot(off), fromMemory
	if s.block == nil && s.await == nil {
		// Of a block that is read in part, the next part is likely to be read soon.
		// The whole ones would only push others out of memory.
		s.block = v.file.blockFromDisk(off/BlockSize, n < BlockSpan(off/BlockSize, v.file.size).Len)
		from = fromDisk
	}
	b, err := v.file.ready(ctx, s, off/BlockSize)
	if err != nil {
		return err
	}
	at := off % BlockSize
	v.parts = append(v.parts, b.data[at:at+n])
	v.count(s, from, n)
	return nil
}

// fill copies what the block at off has into p, as much as fits. A block that p takes
// whole comes from the disk without a detour.
func (v *View) fill(ctx context.Context, p []byte, off int64) (n int, err error) {
	s, index, from := v.slot(off), off/BlockSize, fromMemory
	if s.block == nil && s.await == nil {
		if whole := BlockSpan(index, v.file.size); off == whole.Off && int64(len(p)) >= whole.Len {
			if v.file.readDisk(index, p[:whole.Len]) {
				v.count(s, fromDisk, whole.Len)
				return int(whole.Len), nil
			}
		} else {
			s.block = v.file.blockFromDisk(index, true)
			from = fromDisk
		}
	}
	b, err := v.file.ready(ctx, s, index)
	if err != nil {
		return 0, err
	}
	n = copy(p, b.data[off%BlockSize:])
	v.count(s, from, int64(n))
	return n, nil
}

// count notes n bytes that were read from a slot: from there, unless they were waited for.
func (v *View) count(s *slot, from source, n int64) {
	if s.await != nil {
		from = fromService
	}
	v.len += n
	v.from[from] += n
}

// ready returns the slot's block when it is there. One that the disk turned out not
// to have is fetched.
func (f *File) ready(ctx context.Context, s *slot, index int64) (*block, error) {
	if s.block == nil && s.await == nil {
		if err := f.fetch(s, index); err != nil {
			return nil, readError(f.of.id.key.ID, err)
		}
	}
	if s.block != nil {
		return s.block, nil
	}
	b, err := s.await.wait(ctx)
	if err != nil {
		return nil, readError(f.of.id.key.ID, err)
	}
	return b, nil
}

// fetch makes the slot wait for a block that the disk turned out not to have.
func (f *File) fetch(s *slot, index int64) error {
	c := f.cache
	c.mu.Lock()
	defer c.unlock()
	if err := f.usable(); err != nil {
		return err
	}
	one := [1]slot{}
	c.acquire(f, index, one[:], withoutDisk)
	*s = one[0]
	return nil
}
