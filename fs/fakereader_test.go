package fs

import (
	"context"
	"errors"
	"io"

	"github.com/imagefs/imagefs/image"
)

// fakeReader reads an image.
type fakeReader struct {
	h      *house
	img    image.Image
	closed chan struct{}
}

// Open opens a reader.
func (h *house) Open(img image.Image) Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers++
	return &fakeReader{h: h, img: img, closed: make(chan struct{})}
}

// ReadAt reads what the service has now, up to the size that the record had.
func (r *fakeReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := r.h.ask(ctx, "read", r.img.ID); err != nil {
		return 0, err
	}
	select {
	case <-r.closed:
		return 0, &image.Error{Op: "read", Image: r.img.ID, Kind: image.Other, Detail: "closed"}
	default:
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	data, ok := r.h.data[r.img.ID]
	if !ok {
		return 0, missing("read", r.img.ID)
	}
	return readFrom(data[:min(int64(len(data)), r.img.Size)], p, off)
}

// View reads into p; the bytes have to be released.
func (r *fakeReader) View(ctx context.Context, p []byte, off int64) (Bytes, error) {
	n, err := r.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.h.views.Add(1)
	half := n / 2
	return &fakeBytes{h: r.h, parts: [][]byte{p[:half], p[half:n]}}, err
}

// MayRead permits, unless the hook refuses.
func (h *house) MayRead(ctx context.Context, img image.Image) error {
	return h.ask(ctx, "may read", img.ID)
}

// fakeBytes are in two parts, and counted.
type fakeBytes struct {
	h     *house
	parts [][]byte
}

func (b *fakeBytes) Slices() [][]byte { return b.parts }

func (b *fakeBytes) Release() { b.h.views.Add(-1) }

// Close ends it; a second one panics.
func (r *fakeReader) Close() error {
	close(r.closed)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.readers--
	return nil
}
