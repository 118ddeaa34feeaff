package prefetch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

// Reader is one open image. It is safe for concurrent use.
type Reader struct {
	engine *Engine
	key    image.Key
	img    image.Image
	file   *cache.File

	// streamed is when a read last belonged to a run with a window, in nanoseconds
	// since 1970; 0 never.
	streamed atomic.Int64
	// spool is set, under Engine.mu, once the store is known to serve no ranges.
	spool atomic.Pointer[spool]

	metadata metadata

	mu     sync.Mutex // guards window
	window window
}

// mostSpans is room for the spans of one read; more of them are appended
// elsewhere.
const mostSpans = 16

// Size returns the image's size in bytes.
func (r *Reader) Size() int64 { return r.file.Size() }

// ReadAt reads len(p) bytes at off, as io.ReaderAt does; n bytes of p are good also
// beside an error. ctx ends the waiting, not the fetches that others need: the
// error is then of kind Interrupted, or Stalled for a deadline.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if s := r.spool.Load(); s != nil {
		return s.read(ctx, p, off)
	}
	r.fetchMetadata(r.metadata.before(r.file, r.img.DiskFormat, off, int64(len(p))))
	var store [mostSpans]image.Span
	want := r.note(store[:0], off, int64(len(p)))
	n, waited, err := r.file.ReadAt(ctx, p, off, want...)
	switch {
	case image.Is(err, image.NoRanges):
		s := r.engine.attach(r)
		if s == nil {
			return n, &image.Error{Op: "read", Image: r.key.ID, Err: errClosed}
		}
		m, err := s.read(ctx, p[n:], off+int64(n))
		return n + m, err
	case err == nil:
		r.fetchMetadata(r.metadata.after(r.file, off))
		if !waited {
			break
		}
		if want = r.waited(store[:0], off, int64(n)); len(want) > 0 {
			r.file.Prefetch(want...)
		}
	}
	return n, err
}

// note tells the window of a read and returns what to fetch ahead.
func (r *Reader) note(want []image.Span, off, n int64) []image.Span {
	n = image.Span{Off: off, Len: n}.Clip(r.file.Size()).Len
	if off < 0 || n <= 0 {
		return want
	}
	now := time.Now()
	limit := r.engine.limit(now)
	r.mu.Lock()
	want, drop := r.window.note(want, off, n, limit)
	streaming := r.window.streaming()
	r.mu.Unlock()
	if drop.Len > 0 {
		r.file.Abandon(drop)
	}
	if streaming {
		if before := r.streamed.Swap(now.UnixNano()); now.Sub(time.Unix(0, before)) > recent {
			r.engine.began()
		}
	}
	return want
}

// waited tells the window that a read had to wait and returns what to fetch ahead
// now.
func (r *Reader) waited(want []image.Span, off, n int64) []image.Span {
	limit := r.engine.limit(time.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.waited(want, off, n, limit)
}

// streams reports whether the reader has used a window of late.
func (r *Reader) streams(now time.Time) bool {
	return now.Sub(time.Unix(0, r.streamed.Load())) <= recent
}

// Close ends what is fetched ahead for this reader, and its image's spool if no
// other reader is left. It may be called more than once, and always returns nil.
func (r *Reader) Close() error {
	r.engine.leave(r)
	return r.file.Close()
}
