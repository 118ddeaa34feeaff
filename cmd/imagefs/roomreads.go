package main

import (
	"context"

	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/prefetch"
	"github.com/imagefs/imagefs/staging"
)

// engine opens readers for fs.
type engine struct{ *prefetch.Engine }

// Open opens a reader of the image.
func (e engine) Open(img image.Image) fs.Reader { return reader{e.Engine.Open(img)} }

// reader reads an image for fs.
type reader struct{ *prefetch.Reader }

// View reads without a copy where it can.
func (r reader) View(ctx context.Context, p []byte, off int64) (fs.Bytes, error) {
	b, err := r.Reader.View(ctx, p, off)
	if b == nil { // an interface that holds nil would not be nil
		return nil, err
	}
	return b, err
}

// permission tells fs whether an image may be read.
type permission struct{ *rooms }

// MayRead asks the service, unless nobody has bytes of the image yet: then the first
// read does.
func (p permission) MayRead(ctx context.Context, img image.Image) error {
	held := p.client.HasAsked(img.ID) || p.disk != nil && p.disk.Held(img.Key(p.client.Service()), img.Size) > 0
	if !held && img.Status == image.StatusActive {
		return nil
	}
	return p.client.MayRead(ctx, img)
}

// bases opens what lies under drafts.
type bases struct{ *rooms }

// OpenBase opens a reader of the image.
func (b bases) OpenBase(img image.Image) staging.Base { return b.engine.Open(img) }

// Wrong forgets what is cached of the image.
func (b bases) Wrong(img image.Image) {
	key := img.Key(b.client.Service())
	if b.disk != nil {
		i := b.disk.Image(key, img)
		defer i.Close()
		i.Drop()
	}
	b.wrongBytes(key)
}
