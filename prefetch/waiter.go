package prefetch

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

// mostAwaited is the most bytes that one read waits for at a time; a longer one
// goes piece by piece. As long as the longest span.
const mostAwaited = cache.MaxSpan

// waiter is one read that waits for blocks of a spool. Guarded by spool.mu, and p
// is written only under it while the waiter is listed: who gives up takes itself off
// the list and owns p again.
type waiter struct {
	p      []byte
	off    int64   // of p in the image, bytes
	need   []int64 // blocks that have not come yet, ascending
	broken int     // streams that broke meanwhile
	done   chan struct{}
	err    error // set before done is closed
}

// part returns the piece of p that lies in the block, and its offset in the image.
func (w *waiter) part(index int64) ([]byte, int64) {
	from := max(w.off, index*cache.BlockSize)
	to := min(w.off+int64(len(w.p)), (index+1)*cache.BlockSize)
	return w.p[from-w.off : to-w.off], from
}

// fill copies from a block that came, if the waiter needs it.
func (w *waiter) fill(index int64, data []byte) bool {
	at, needed := slices.BinarySearch(w.need, index)
	if !needed {
		return false
	}
	part, from := w.part(index)
	copy(part, data[from-index*cache.BlockSize:])
	w.need = slices.Delete(w.need, at, at+1)
	return true
}

// good is how many bytes of p, from its start, have come.
func (w *waiter) good() int {
	if len(w.need) == 0 {
		return len(w.p)
	}
	return int(max(0, w.need[0]*cache.BlockSize-w.off))
}

// read reads as io.ReaderAt does, waiting for the stream where the cache has not
// the bytes.
func (s *spool) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, &image.Error{Op: "read", Image: s.key.ID, Err: errors.New("negative offset")}
	}
	stop := image.Span{Off: off, Len: int64(len(p))}.Clip(s.file.Size()).End()
	withheld := int64(-1) // where the cache has bytes, but did not give them
	for off+int64(n) < stop {
		if err := s.file.Wrong(); err != nil {
			return n, err
		}
		at := off + int64(n)
		n += s.file.Cached(p[n:stop-off], at)
		if last := off + int64(n); last > at {
			s.touched((last - 1) / cache.BlockSize)
			continue
		}
		piece := min(stop-at, mostAwaited-at%mostAwaited)
		m, err := s.await(ctx, p[n:n+int(piece)], at, at == withheld)
		s.file.Streamed(m)
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			withheld = at
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// touched tells the stream that a block was read.
func (s *spool) touched(index int64) {
	lead := s.engine.lead()
	s.mu.Lock()
	further := s.touch(index, lead)
	s.mu.Unlock()
	if further {
		s.signal()
	}
}

// await reads p, which lies inside the image, up to the first block that the cache
// has, and waits for the stream to bring it. n is 0 without an error where the cache
// has the first block by now; withheld says that it does not give that, for the disk cannot
// be read now, and so it is waited for.
func (s *spool) await(ctx context.Context, p []byte, off int64, withheld bool) (int, error) {
	w := &waiter{p: p, off: off, done: make(chan struct{})}
	s.mu.Lock()
	// A stream passes a block under this lock, and has put it into the cache before: a block
	// is either cached now or still to come.
	end := off
	for index := off / cache.BlockSize; end < off+int64(len(p)); index++ {
		block := cache.BlockSpan(index, s.file.Size())
		if s.file.Has(block) && !(withheld && end == off) {
			break
		}
		w.need = append(w.need, index)
		end = block.End()
	}
	if len(w.need) == 0 {
		s.mu.Unlock()
		return 0, nil
	}
	w.p = p[:min(int64(len(p)), end-off)]
	if s.closed {
		s.mu.Unlock()
		return w.good(), &image.Error{Op: "read", Image: s.key.ID, Err: errClosed}
	}
	s.waiters = append(s.waiters, w)
	if !s.running {
		s.running = true
		s.engine.streams.Go(s.run)
	}
	s.mu.Unlock()
	s.signal()

	select {
	case <-w.done:
		return w.good(), w.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiters, w)
	if at < 0 { // served or failed in the same moment
		return w.good(), w.err
	}
	s.waiters = slices.Delete(s.waiters, at, at+1)
	return w.good(), &image.Error{Op: "read", Image: s.key.ID, Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
}

// fail hands err to the waiters that are lost; the others go on waiting. spool.mu
// is held.
func (s *spool) fail(err error, lost func(*waiter) bool) {
	s.waiters = slices.DeleteFunc(s.waiters, func(w *waiter) bool {
		if !lost(w) {
			return false
		}
		w.err = err
		close(w.done)
		return true
	})
}
