package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unit keeps the tables short.
const unit = BlockSize

// service is a fake Source. Its hooks run without its lock.
type service struct {
	latency time.Duration                             // before a body opens
	open    func(s image.Span) error                  // fails the request
	read    func(ctx context.Context, at int64) error // before each piece of a body
	blank   bool                                      // bodies are whatever the buffer held
	piece   int64                                     // most bytes of one Read; 0: as many as asked

	mu     sync.Mutex // guards the fields below
	spans  []image.Span
	ids    []string
	bytes  int64
	active int
	peak   int
}

func (v *service) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	v.mu.Lock()
	v.spans = append(v.spans, s)
	v.ids = append(v.ids, img.ID)
	v.active++
	v.peak = max(v.peak, v.active)
	v.mu.Unlock()
	b := &body{v: v, ctx: ctx, id: img.ID, at: s.Off, end: s.End()}
	if v.latency > 0 {
		select {
		case <-time.After(v.latency):
		case <-ctx.Done():
			b.left()
			return nil, ctx.Err()
		}
	}
	if v.open != nil {
		if err := v.open(s); err != nil {
			b.left()
			return nil, err
		}
	}
	return b, nil
}

func (v *service) requests() []image.Span {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]image.Span(nil), v.spans...)
}

type body struct {
	v       *service
	ctx     context.Context
	id      string
	at, end int64
}

func (b *body) left() {
	b.v.mu.Lock()
	b.v.active--
	b.v.mu.Unlock()
}

func (b *body) Close() error { b.left(); return nil }

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
	if b.v.piece > 0 {
		n = min(n, b.v.piece)
	}
	if !b.v.blank {
		copy(p, cachetest.Content(b.id, b.at, n))
	}
	b.at += n
	b.v.mu.Lock()
	b.v.bytes += n
	b.v.mu.Unlock()
	return int(n), nil
}

// gate makes bodies stall at an offset until it is opened.
type gate chan struct{}

func (g gate) at(off int64) func(context.Context, int64) error {
	return func(ctx context.Context, at int64) error {
		if at < off {
			return nil
		}
		select {
		case <-g:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func record(id string, size int64) image.Image {
	return image.Image{ID: id, Status: image.StatusActive, Size: size, HashAlgo: "sha512", HashValue: id}
}

func open(t testing.TB, c *Cache, id string, size int64) *File {
	t.Helper()
	img := record(id, size)
	f := c.Open(img.Key("http://test"), img)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func newCache(t testing.TB, v *service, memory int64, streams int) *Cache {
	t.Helper()
	c := New(Options{Memory: memory, Streams: streams, Source: v})
	t.Cleanup(c.Close)
	return c
}

// expect reads and compares.
func expect(t testing.TB, f *File, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	m, err := f.ReadAt(t.Context(), p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read of %d at %d: %v", n, off, err)
	}
	if want := min(n, max(0, f.Size()-off)); int64(m) != want {
		t.Fatalf("read of %d at %d: got %d bytes, want %d", n, off, m, want)
	}
	if !bytes.Equal(p[:m], cachetest.Content(f.of.id.key.ID, off, int64(m))) {
		t.Fatalf("read of %d at %d: wrong bytes", n, off)
	}
}
