package commit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"

	"github.com/imagefs/imagefs/image"
)

func (f *fake) Upload(ctx context.Context, id string, size int64, body func() io.Reader) error {
	x, err := f.begin(ctx, "upload", id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	img, ok := f.images[id]
	ready := ok && img.Status == image.StatusQueued
	if ready {
		img.Status = image.StatusSaving
		f.images[id] = img
		f.uploads++
		f.most = max(f.most, f.uploads)
		defer func() { f.mu.Lock(); f.uploads--; f.mu.Unlock() }()
	}
	f.mu.Unlock()
	if !ready {
		return f.err("upload", id, map[bool]image.Kind{true: image.Busy, false: image.NotFound}[ok])
	}
	back := func(s image.Status) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if img, ok := f.images[id]; ok {
			img.Status = s
			f.images[id] = img
		}
	}
	read := io.Reader(body())
	if x.op != "" && (x.what == cut || x.what == stuck) {
		read = io.LimitReader(read, size/2)
	}
	got, err := f.receive(ctx, read)
	switch {
	case err != nil:
		back(image.StatusQueued)
		return &image.Error{Op: "upload", Image: id, Kind: image.Unavailable, Err: err}
	case x.op != "" && x.what == cut:
		back(image.StatusQueued)
		return f.err("upload", id, x.kind)
	case x.op != "" && x.what == stuck:
		return f.err("upload", id, x.kind)
	case x.op != "" && x.what == imported:
		back(image.StatusImporting)
		return f.err("upload", id, x.kind)
	case int64(len(got)) != size:
		back(image.StatusQueued)
		return f.err("upload", id, image.Rejected)
	case x.op != "" && x.what == damaged:
		got[len(got)/2] ^= 1
	case x.op != "" && x.what == short:
		got = got[:len(got)-1]
	}
	f.mu.Lock()
	img, ok = f.images[id]
	if ok {
		f.store(img, got)
	}
	f.mu.Unlock()
	if !ok {
		return f.err("upload", id, image.NotFound)
	}
	return f.end("upload", id, x)
}

// receive reads a body in pieces, as a transport does.
func (f *fake) receive(ctx context.Context, r io.Reader) ([]byte, error) {
	var got bytes.Buffer
	piece := make([]byte, 1000)
	for {
		n, err := r.Read(piece)
		got.Write(piece[:n])
		if f.slow != nil {
			if err := f.slow(int64(got.Len())); err != nil {
				return nil, err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, io.EOF):
			return got.Bytes(), nil
		case err != nil:
			return nil, err
		}
	}
}

// store makes img active with the bytes; f.mu is held.
func (f *fake) store(img image.Image, got []byte) {
	img.Status, img.Size = image.StatusActive, int64(len(got))
	sum := image.NewHash(algoMD5)
	sum.Write(got)
	img.Checksum = hex.EncodeToString(sum.Sum(nil))
	if h := image.NewHash(f.algo); h != nil {
		h.Write(got)
		img.HashAlgo, img.HashValue = f.algo, hex.EncodeToString(h.Sum(nil))
	}
	if f.mute {
		img.Checksum, img.HashAlgo, img.HashValue = "", "", ""
	}
	f.images[img.ID], f.data[img.ID], f.used[img.ID] = img, got, true
}
