package main

import (
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/prefetch"
	"github.com/imagefs/imagefs/staging"
)

// engine opens readers for fs.
type engine struct{ *prefetch.Engine }

// Open opens a reader of the image.
func (e engine) Open(img image.Image) fs.Reader { return e.Engine.Open(img) }

// bases opens what lies under a draft after a commit.
type bases struct{ *prefetch.Engine }

// OpenBase opens a reader of the image.
func (b bases) OpenBase(img image.Image) staging.Base { return b.Engine.Open(img) }
