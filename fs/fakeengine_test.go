package fs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

// memoryEngine reads every image from the same bytes in memory, as a cache does
// whose blocks are all resident, and counts what it is asked for.
type memoryEngine struct {
	data  []byte        // of every image, over and over
	delay time.Duration // of each read
	fills bool          // copies the bytes to where it is told, as a spool does

	asked   atomic.Int64 // bytes
	running atomic.Int64 // reads
	most    atomic.Int64 // reads that ran at once
}

// newMemoryEngine returns one with the given number of bytes, whole blocks.
func newMemoryEngine(size int) *memoryEngine {
	e := &memoryEngine{data: make([]byte, size)}
	for i := range e.data {
		e.data[i] = byte(i >> 12)
	}
	return e
}

// Open opens a reader.
func (e *memoryEngine) Open(img image.Image) Reader { return memoryReader{e, img.Size} }

type memoryReader struct {
	*memoryEngine
	size int64
}

// View hands out blocks of the size that the cache's have.
func (r memoryReader) View(_ context.Context, p []byte, off int64) (Bytes, error) {
	const block = 128 << 10
	r.asked.Add(int64(len(p)))
	running := r.running.Add(1)
	defer r.running.Add(-1)
	for most := r.most.Load(); running > most && !r.most.CompareAndSwap(most, running); most = r.most.Load() {
	}
	if r.delay > 0 {
		time.Sleep(r.delay)
	}
	var b memoryBytes
	for end := min(off+int64(len(p)), r.size); off < end; {
		n := min(end-off, block-off%block)
		at := off % int64(len(r.data))
		b = append(b, r.data[at:at+n])
		off += n
	}
	if !r.fills {
		return b, nil
	}
	n := 0
	for _, part := range b {
		n += copy(p[n:], part)
	}
	return copied(p[:n]), nil
}

// ReadAt is not used: only drafts over an image read so.
func (r memoryReader) ReadAt(context.Context, []byte, int64) (int, error) {
	return 0, errors.ErrUnsupported
}

type memoryBytes [][]byte

// Slices returns them.
func (b memoryBytes) Slices() [][]byte { return b }

// Release does nothing.
func (memoryBytes) Release() {}

// Close does nothing.
func (memoryReader) Close() error { return nil }
