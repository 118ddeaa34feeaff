package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"

	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

// Where the socket's HTTP server has what is cached on disk, and work on it.
const (
	cachePath       = "/cache"
	cacheVerifyPath = "/cache/verify"
	cacheDropPath   = "/cache/drop"
)

// cacheAnswer is the answer to cachePath.
type cacheAnswer struct {
	Images []cachedImage `json:"images"`
	None   string        `json:"none,omitempty"` // why there is no cache on disk
}

// cacheQuestion is which images are meant.
type cacheQuestion struct {
	Images []wanted `json:"images,omitempty"`
	All    bool     `json:"all,omitempty"`
}

// diskCache is a cache on disk in the hands of who looks at it: a mount's daemon, or a
// command without a mount.
type diskCache struct {
	store   *disk.Store
	entryOf func(id string) string // "": not known
	forget  func(gone func(image.Key) bool)
	// mend fetches what is missing of an image, and returns when it is kept. A command
	// without a mount needs none: no files are handed out.
	mend func(ctx context.Context, key image.Key, told func(done, total int64)) error
}

// cacheKeeper answers what a mount has cached on disk.
type cacheKeeper struct {
	diskCache // store is nil where there is none
	none      func() string
	catalog   *catalog.Catalog
	failure   func(error) error
}

func (a *about) cacheKeeper() *cacheKeeper {
	r := a.rooms
	return &cacheKeeper{
		diskCache: diskCache{
			store: r.disk, entryOf: func(id string) string { return r.catalog.Known(id).Name }, forget: r.cache.Forget, mend: r.mend,
		},
		none:    func() string { return orElse(r.diskNote, "it was not asked for (--cache-size 0)") },
		catalog: r.catalog, failure: a.failure,
	}
}

// listed answers what is cached.
func (k *cacheKeeper) listed(log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var a cacheAnswer
		if k.store == nil {
			a.None = k.none()
		} else {
			a.Images = k.list()
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a); err != nil {
			log.Debug("who asked for what is cached did not wait for it", "error", err)
		}
	}
}

// work does something to the images that are meant.
func (k *cacheKeeper) work(q cacheQuestion, do func(c diskCache, chosen []chosen) work) work {
	return func(ctx context.Context, to workSink) error {
		if k.store == nil {
			return noCache(k.none())
		}
		all := k.store.List()
		if q.All {
			return do(k.diskCache, k.everything(all))(ctx, to)
		}
		var picked []chosen
		for _, name := range q.Images {
			id := name.ID
			if id == "" {
				e, err := k.catalog.Lookup(ctx, name.Entry)
				if image.Is(err, image.NotFound) {
					return fail(exitNoImage, "%w: see imagefs cache list", err)
				}
				if err != nil {
					return k.failure(err)
				}
				id = e.Image.ID()
			}
			picked = append(picked, chosen{name: name.name(), images: ofID(all, id)})
		}
		return do(k.diskCache, picked)(ctx, to)
	}
}

func noCache(why string) error { return fail(exitLocalDir, "the mount has no cache on disk: %s", why) }

// chosen is one image that is meant, and what is cached of it: nothing, or the bytes of one
// record, or of several that the service has given its id.
type chosen struct {
	name   string
	images []disk.Listed
}

// everything chooses all images.
func (c diskCache) everything(all []disk.Listed) (every []chosen) {
	for _, l := range all {
		every = append(every, chosen{name: orElse(c.entryOf(l.Key.ID), l.Key.ID), images: []disk.Listed{l}})
	}
	return every
}

func ofID(all []disk.Listed, id string) (found []disk.Listed) {
	for _, l := range all {
		if l.Key.ID == id {
			found = append(found, l)
		}
	}
	return found
}

// cached asks the mount's daemon what it has cached on disk.
func (t target) cached(ctx context.Context) ([]cachedImage, error) {
	d, err := t.daemon(ctx)
	if err != nil {
		return nil, err
	}
	var a cacheAnswer
	err = d.request(ctx, http.MethodGet, cachePath, http.StatusOK, func(body io.ReadCloser) error { return readAnswer(body, &a) })
	switch {
	case err != nil:
		return nil, t.noDaemon(err)
	case a.None != "":
		return nil, noCache(a.None)
	}
	return a.Images, nil
}
