package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/prefetch"
)

// warmPath is where the socket's HTTP server loads images.
const warmPath = "/warm"

// warmQuestion is which images are to be loaded, and how much of each: see prefetch.Part.
type warmQuestion struct {
	Images   []wanted `json:"images"`
	Head     int64    `json:"head,omitempty"` // bytes
	Metadata bool     `json:"metadata,omitempty"`
}

// warmer loads images of a mount into its cache.
type warmer struct {
	catalog *catalog.Catalog
	service string // in the keys of its images
	failure func(error) error
	mayRead func(ctx context.Context, img image.Image) error
	room    func(keys map[image.Key]bool) int64 // bytes that the cache can keep of them
	load    func(ctx context.Context, img image.Image, part prefetch.Part, told func(done, total int64)) error
}

func (a *about) warmer() *warmer {
	r := a.rooms
	return &warmer{
		catalog: r.catalog, service: r.client.Service(), failure: a.failure, mayRead: permission{r}.MayRead, room: r.cache.Room, load: r.engine.Load,
	}
}

// warm finds all images, and loads them one after the other: one reader takes what the
// service gives. Where the cache cannot hold all of them, it begins with none, for the last
// ones would push out the first.
func (w *warmer) warm(q warmQuestion) work {
	part := prefetch.Part{Head: q.Head, Metadata: q.Metadata}
	return func(ctx context.Context, to workSink) error {
		var all []image.Image
		var total int64 // bytes
		keys := map[image.Key]bool{}
		for _, name := range q.Images {
			img, err := w.find(ctx, name)
			if err != nil {
				return w.because(name, err)
			}
			all = append(all, img)
			if key := img.Key(w.service); !keys[key] {
				keys[key] = true
				total += part.Len(img.Size)
			}
		}
		if room := w.room(keys); total > room {
			return fail(exitCacheSmall, "%s are to be loaded, and the cache can keep %s of them beside what is in use: nothing was loaded; load less (--head), or mount with a larger --cache-size",
				humanize.IBytes(uint64(total)), humanize.IBytes(uint64(room)))
		}
		for i, img := range all {
			name := q.Images[i]
			to.begin(name.name())
			var loaded int64
			err := w.load(ctx, img, part, func(done, total int64) {
				loaded = total
				to.moved(done, total)
			})
			if err == nil {
				err = to.said(fmt.Sprintf("%s: %s of %s in the cache", name.name(), humanize.IBytes(uint64(loaded)), humanize.IBytes(uint64(img.Size))))
			}
			if err != nil {
				return w.because(name, err)
			}
		}
		return nil
	}
}

// find looks an image up, and whether its bytes may be had.
func (w *warmer) find(ctx context.Context, name wanted) (img image.Image, err error) {
	if name.Entry == "" {
		img, err = w.catalog.ByID(ctx, name.ID)
	} else {
		var e catalog.Entry
		e, err = w.catalog.Lookup(ctx, name.Entry)
		img = e.Image.Unpack()
		if err == nil && img.ID == "" {
			return img, fail(exitNoImage, "it is being written, and there is no image of it yet")
		}
	}
	switch {
	case err != nil:
		return img, err
	case img.VolumeBacked():
		return img, &image.Error{Op: "load", Image: img.ID, Kind: image.Unsupported, Detail: "its bytes are in a volume"}
	}
	if img.Status != image.StatusActive { // uploads end
		if img, err = w.catalog.Fresh(ctx, img.ID); err != nil {
			return img, err
		}
	}
	if img.Status != image.StatusActive {
		return img, &image.Error{Op: "load", Image: img.ID, Kind: image.NoData, Detail: "its status is " + string(img.Status)}
	}
	return img, w.mayRead(ctx, img)
}

// because gives an error of an image its name and its exit code.
func (w *warmer) because(name wanted, err error) error {
	var known *failure
	var code exitCode
	switch {
	case errors.As(err, &known):
		code = known.code
	case image.Is(err, image.NotFound):
		code = exitNoImage
	case image.Is(err, image.LocalFull):
		code = exitCacheSmall
	default:
		code = codeOf(w.failure(err))
	}
	return fail(code, "%s: %w", name.name(), err)
}
