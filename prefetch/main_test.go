package prefetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const unit = int64(cache.BlockSize)

// service is a fake of the client: spans (refused where wholeOnly) and whole
// streams. Its hooks run without its lock.
type service struct {
	wholeOnly bool
	blank     bool                                      // bodies are whatever the buffer held
	disk      []byte                                    // what images begin with, instead of the pattern
	latency   time.Duration                             // before a body opens
	rate      int64                                     // bytes a second of each body; 0: no limit
	open      func(img image.Image) error               // fails a whole stream at its beginning
	read      func(ctx context.Context, at int64) error // before each piece of a body

	mu     sync.Mutex // guards the fields below
	spans  []image.Span
	whole  []string // ids, one for each whole stream
	bytes  int64    // of all bodies
	bodies int      // bodies
	peak   int      // whole streams at once
	alive  int
}

func (v *service) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	if v.wholeOnly {
		return nil, &image.Error{Op: "open span", Image: img.ID, Kind: image.NoRanges}
	}
	v.mu.Lock()
	v.spans = append(v.spans, s)
	v.mu.Unlock()
	return v.begin(ctx, img, s, func() {})
}

func (v *service) OpenWhole(ctx context.Context, img image.Image) (io.ReadCloser, error) {
	v.mu.Lock()
	v.whole = append(v.whole, img.ID)
	v.alive++
	v.peak = max(v.peak, v.alive)
	v.mu.Unlock()
	left := func() {
		v.mu.Lock()
		v.alive--
		v.mu.Unlock()
	}
	if v.open != nil {
		if err := v.open(img); err != nil {
			left()
			return nil, err
		}
	}
	return v.begin(ctx, img, image.Span{Len: img.Size}, left)
}

func (v *service) begin(ctx context.Context, img image.Image, s image.Span, left func()) (io.ReadCloser, error) {
	if v.latency > 0 {
		select {
		case <-time.After(v.latency):
		case <-ctx.Done():
			left()
			return nil, ctx.Err()
		}
	}
	v.mu.Lock()
	v.bodies++
	v.mu.Unlock()
	return &body{v: v, ctx: ctx, id: img.ID, at: s.Off, end: s.End(), left: left, due: time.Now()}, nil
}

func (v *service) streams() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.whole)
}

func (v *service) moved() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bytes
}

type body struct {
	v       *service
	ctx     context.Context
	id      string
	at, end int64
	left    func()
	due     time.Time // of what was read so far
}

func (b *body) Close() error {
	b.left()
	b.v.mu.Lock()
	b.v.bodies--
	b.v.mu.Unlock()
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.at == b.end {
		return 0, io.EOF
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.v.read != nil {
		if err := b.v.read(b.ctx, b.at); err != nil {
			return 0, err
		}
	}
	n := min(int64(len(p)), b.end-b.at)
	if b.v.rate > 0 {
		// What is late is made up for, so that a busy machine does not slow it down.
		b.due = b.due.Add(time.Duration(n * int64(time.Second) / b.v.rate))
		select {
		case <-time.After(time.Until(b.due)):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	if !b.v.blank {
		copy(p, cachetest.Content(b.id, b.at, n))
		copy(p[:n], b.v.disk[min(b.at, int64(len(b.v.disk))):])
	}
	b.at += n
	b.v.mu.Lock()
	b.v.bytes += n
	b.v.mu.Unlock()
	return int(n), nil
}

func record(id string, size int64) image.Image {
	return image.Image{ID: id, Status: image.StatusActive, Size: size, HashAlgo: "sha512", HashValue: id}
}

func newEngine(t testing.TB, v *service, memory int64, streams int) *Engine {
	t.Helper()
	p := NewPace(v, streams)
	c := cache.New(cache.Options{Memory: memory, Streams: streams, Source: p, Prefetches: p.Requests, Long: p.Long})
	e := New(Options{Cache: c, Whole: v, Pace: p, Service: "http://test", Memory: memory, Streams: streams})
	t.Cleanup(func() {
		e.Close()
		c.Close()
		if v.bodies != 0 || v.alive != 0 {
			t.Errorf("%d bodies are open", v.bodies)
		}
	})
	return e
}

func open(t testing.TB, e *Engine, id string, size int64) *Reader {
	t.Helper()
	r := e.Open(record(id, size))
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// expect reads and compares.
func expect(t testing.TB, r *Reader, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	m, err := r.ReadAt(t.Context(), p, off)
	want := min(n, max(0, r.Size()-off))
	if int64(m) != want || err != nil && !(errors.Is(err, io.EOF) && want < n) {
		t.Errorf("read of %d at %d: %d, %v", n, off, m, err)
		return
	}
	if !bytes.Equal(p[:m], cachetest.Content(r.key.ID, off, want)) {
		t.Errorf("read of %d at %d: wrong bytes", n, off)
	}
}
