package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
	"github.com/imagefs/imagefs/prefetch"
	"github.com/imagefs/imagefs/staging"
)

// openDisk opens the cache on disk, where there is to be one. A second mount of the
// same service works without it, and says so.
func (r *rooms) openDisk(ctx context.Context, c config.Config) error {
	if c.CacheSize == 0 {
		return nil
	}
	dir, err := localdir.Resolve(c.CacheDir) // a cache is often put on another disk by a link
	if err == nil {
		err = localdir.Make(dir, nil)
	}
	if err != nil {
		return localFailure(err, "name another directory with --cache-dir")
	}
	r.diskDir = serviceDir(dir, r.client.Service())
	store, err := openDisk(ctx, disk.Options{
		Dir: r.diskDir, Limit: c.CacheSize, BlockSize: cache.BlockSize,
		OnMismatch: r.wrongBytes, Logger: r.log,
	})
	switch {
	case errors.Is(err, disk.ErrInUse):
		r.diskNote = oneLine(err) + ": this mount caches in memory only (a --cache-dir of its own would give it a disk cache)"
		r.log.Warn("no cache on disk", "reason", r.diskNote)
		return nil
	case err != nil:
		return &failure{code: exitLocalDir, err: err}
	}
	r.disk = store
	return nil
}

const (
	// giveWayLimit is how long a mount that begins waits for a command that has the cache
	// without one. It looks each block whether it is asked, and has then to close its files.
	giveWayLimit = 5 * time.Second
	// giveWayPoll is how often it is tried: a person does not notice the wait.
	giveWayPoll = 20 * time.Millisecond
)

// openDisk opens a cache, and waits a while for a command that was asked to give it free.
func openDisk(ctx context.Context, o disk.Options) (*disk.Store, error) {
	store, err := disk.Open(o)
	if !errors.Is(err, disk.ErrAsked) {
		return store, err
	}
	ctx, cancel := context.WithTimeout(ctx, giveWayLimit)
	defer cancel()
	ticker := time.NewTicker(giveWayPoll)
	defer ticker.Stop()
	for errors.Is(err, disk.ErrInUse) {
		select {
		case <-ticker.C:
			store, err = disk.Open(o)
		case <-ctx.Done():
			return nil, err
		}
	}
	return store, err
}

// serviceDir is the directory of one service's blocks below the cache directory. Its
// name begins with the host, for people, and tells services apart by a hash.
func serviceDir(dir, service string) string {
	sum := sha256.Sum256([]byte(service))
	host := "service"
	if u, err := url.Parse(service); err == nil && u.Hostname() != "" {
		host = strings.Map(plainRune, u.Hostname())
	}
	return filepath.Join(dir, host+"-"+hex.EncodeToString(sum[:])[:hashDigits])
}

// hashDigits are of the hash of a service: 32 bits, for the few services of one host.
const hashDigits = 8

// isServiceDir reports whether serviceDir makes such names. Others lie below a directory
// that was named by mistake, and are nothing to open.
func isServiceDir(name string) bool {
	_, err := hex.DecodeString(name[max(0, len(name)-hashDigits):])
	return err == nil && len(name) > hashDigits+1 && name[len(name)-hashDigits-1] == '-'
}

// plainRune keeps a host's name one plain part of a path: an IPv6 address has colons.
func plainRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		return r
	}
	return '_'
}

// wrongBytes forgets everything that an image's readers could still get of bytes that
// do not have its hash.
func (r *rooms) wrongBytes(key image.Key) {
	r.cache.Drop(key)
	if server := r.server.Load(); server != nil {
		server.BytesChanged(key.ID)
	}
}

// mend fetches what the cache lacks of an image.
func (r *rooms) mend(ctx context.Context, key image.Key, told func(done, total int64)) error {
	img, err := r.catalog.ByID(ctx, key.ID)
	switch {
	case err != nil:
		return err
	case img.Key(r.client.Service()) != key:
		return &image.Error{Op: "load", Image: key.ID, Kind: image.Stale, Detail: "its bytes are others by now"}
	}
	return r.engine.Load(ctx, img, prefetch.Part{}, told)
}

// adopt makes the data file of a committed draft the cache's copy of the image: what
// was just uploaded is not downloaded. It takes a link, before the draft is removed;
// after that begin is called. Where it cannot be done the image is fetched when it is
// read.
func (r *rooms) adopt(d *staging.Draft) (begin func()) {
	f, img, ok := d.Committed()
	if !ok || r.disk == nil {
		return func() {}
	}
	i := r.disk.Image(img.Key(r.client.Service()), img)
	defer i.Close()
	begin, err := i.Adopt(f)
	if err != nil {
		r.log.Debug("a committed image is not kept in the cache; it is fetched when it is read", "image", img.ID, "reason", err)
		return func() {}
	}
	return begin
}

// copies hands out whole images that lie on the disk; nil where there is no cache on
// disk.
func (r *rooms) copies() fs.Copies {
	if r.disk == nil {
		return nil
	}
	return copies{store: r.disk, dir: r.diskDir, service: r.client.Service()}
}

type copies struct {
	store   *disk.Store
	dir     string
	service string
}

// Copy returns the image's file on disk if it is whole and has its hash.
func (c copies) Copy(img image.Image) (*os.File, func()) {
	i := c.store.Image(img.Key(c.service), img)
	defer i.Close()
	f, release, ok := i.Pin()
	if !ok {
		return nil, nil
	}
	return f, release
}

// Directory is where the files lie.
func (c copies) Directory() string { return c.dir }
