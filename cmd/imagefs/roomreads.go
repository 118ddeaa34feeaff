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

// bases opens what lies under a draft after a commit.
type bases struct{ *prefetch.Engine }

// OpenBase opens a reader of the image.
func (b bases) OpenBase(img image.Image) staging.Base { return b.Engine.Open(img) }
