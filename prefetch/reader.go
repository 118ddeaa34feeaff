package prefetch

import (
	"context"
	"errors"
	"io"
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
	n, err := r.file.ReadAt(ctx, p, off, r.note(store[:0], off, int64(len(p)))...)
	if image.Is(err, image.NoRanges) {
		m, err := r.readSpool(ctx, p[n:], off+int64(n))
		return n + m, err
	}
	if err == nil {
		r.fetchMetadata(r.metadata.after(r.file, off))
	}
	return n, err
}

// Bytes are bytes of an image that stay in place until Release.
type Bytes struct {
	parts [][]byte
	view  *cache.View // nil when they are in the caller's memory
}

// Slices returns the bytes in their order. They must not be changed, and not be read
// after Release.
func (b *Bytes) Slices() [][]byte { return b.parts }

// Release gives the bytes up. A second call does nothing.
func (b *Bytes) Release() {
	if b.view != nil {
		b.view.Release()
	}
}

// View reads as ReadAt does, but without a copy where it can: the bytes are in the
// cache, or in p where they come from a spool. It reads at most cache.MaxView bytes.
// An error but io.EOF comes without bytes; otherwise the caller releases them.
func (r *Reader) View(ctx context.Context, p []byte, off int64) (*Bytes, error) {
	p = p[:min(len(p), cache.MaxView)]
	if s := r.spool.Load(); s != nil {
		n, err := s.read(ctx, p, off)
		return inPlace(p[:n], err)
	}
	r.fetchMetadata(r.metadata.before(r.file, r.img.DiskFormat, off, int64(len(p))))
	var store [mostSpans]image.Span
	v, err := r.file.View(ctx, off, int64(len(p)), r.note(store[:0], off, int64(len(p)))...)
	switch {
	case image.Is(err, image.NoRanges):
		n, err := r.readSpool(ctx, p, off)
		return inPlace(p[:n], err)
	case v == nil:
		return nil, err
	case err == nil:
		r.fetchMetadata(r.metadata.after(r.file, off))
	}
	return &Bytes{parts: v.Slices(), view: v}, err
}

// inPlace are bytes in memory of the caller.
func inPlace(p []byte, err error) (*Bytes, error) {
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &Bytes{parts: [][]byte{p}}, err
}

// readSpool reads an image whose store has just turned out to serve no ranges.
func (r *Reader) readSpool(ctx context.Context, p []byte, off int64) (int, error) {
	s := r.engine.attach(r)
	if s == nil {
		return 0, &image.Error{Op: "read", Image: r.key.ID, Err: errClosed}
	}
	return s.read(ctx, p, off)
}

// note tells the window of a read and returns what to fetch ahead.
func (r *Reader) note(want []image.Span, off, n int64) []image.Span {
	read := image.Span{Off: off, Len: n}.Clip(r.file.Size())
	if off < 0 || read.Len <= 0 {
		return want
	}
	now := time.Now()
	means := r.engine.means(now)
	wait := !r.file.Has(read)
	r.mu.Lock()
	if !r.window.streaming() && (r.metadata.holds(read) || opens(r.img.DiskFormat, read)) {
		// Whoever opens a disk goes elsewhere next.
		r.mu.Unlock()
		return want
	}
	want, drop := r.window.note(want, off, read.Len, wait, means)
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

// streams reports whether the reader has used a window of late. A use that is far ahead of
// now was before the clock was set back.
func (r *Reader) streams(now time.Time) bool {
	return now.Sub(time.Unix(0, r.streamed.Load())).Abs() <= recent
}

// Close ends what is fetched ahead for this reader, and its image's spool if no
// other reader is left. It may be called more than once, and always returns nil.
func (r *Reader) Close() error {
	r.engine.leave(r)
	return r.file.Close()
}
