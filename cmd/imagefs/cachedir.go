package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// idleCache is the cache on disk of a service that no mount has.
type idleCache struct {
	diskCache
	dir string
}

// inCaches calls do with the caches below the cache directory, and fails at last where one
// could not be looked at: a mount has it, or it belongs to somebody else.
func inCaches(c config.Config, std streams, do func(open []idleCache) error) error {
	root, err := localdir.Resolve(c.CacheDir) // as a mount does
	if err != nil {
		return fail(localCode(err), "%w", err)
	}
	dirs, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(exitLocalDir, "%w", err)
	}
	var open []idleCache
	var failures []error
	for _, d := range dirs {
		if !d.IsDir() || !isServiceDir(d.Name()) {
			continue
		}
		i := idleCache{dir: filepath.Join(root, d.Name())}
		i.store, err = disk.OpenIdle(disk.Options{Dir: i.dir, BlockSize: cache.BlockSize, Logger: newLogger(std.Err, c.LogFormat, max(c.LogLevel, slog.LevelWarn))})
		switch {
		case image.Is(err, image.NotFound): // it is none of ours
			continue
		case errors.Is(err, disk.ErrInUse):
			err = fail(exitLocalDir, "%w: name its mountpoint, to ask it", err)
		case err != nil:
			err = &failure{code: exitLocalDir, err: err}
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		i.entryOf = func(string) string { return "" }
		i.forget = func(func(image.Key) bool) {}
		open = append(open, i)
	}
	err = do(open)
	for _, i := range open {
		err = errors.Join(err, i.store.Close())
	}
	if err != nil {
		failures = append(failures, err)
	}
	return tellAll(std.Err, failures)
}

// idleWork does something to the images that the words name, which are ids or their first
// digits, or to all, where no mount has them.
func idleWork(c config.Config, std streams, words []string, do func(c diskCache, chosen []chosen) work) work {
	return func(ctx context.Context, to workSink) error {
		return inCaches(c, std, func(open []idleCache) error {
			picked := make([][]chosen, len(open))
			useless := 0
			for n, i := range open {
				useless += i.store.Stats().Useless
				if len(words) == 0 {
					picked[n] = i.everything(i.store.List())
				}
			}
			for _, word := range words {
				if err := pickCached(open, picked, word); err != nil {
					return err
				}
			}
			ctx, ended := whileUnasked(ctx, open)
			defer ended()
			var failures []error
			for n, i := range open {
				err := do(i.diskCache, picked[n])(ctx, to)
				if err != nil && errors.Is(context.Cause(ctx), errGivenWay) {
					return fail(exitLocalDir, "%w", errGivenWay)
				}
				if err != nil {
					failures = append(failures, err)
				}
			}
			if useless > 0 && len(words) == 0 {
				failures = append(failures, fail(exitInternal, "%d images had files of no use, which were removed", useless))
			}
			return tellAll(std.Err, failures)
		})
	}
}

// errGivenWay ends work on a cache that a mount has asked for.
var errGivenWay = errors.New("a mount began, and takes the cache: not all was done; name its mountpoint, to ask it")

// askedPoll is how often a command looks whether a mount wants the cache, which waits for
// giveWayLimit.
const askedPoll = 100 * time.Millisecond

// whileUnasked returns a context that ends when somebody else wants one of the caches.
func whileUnasked(ctx context.Context, open []idleCache) (while context.Context, ended func()) {
	while, cancel := context.WithCancelCause(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(askedPoll)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if slices.ContainsFunc(open, func(i idleCache) bool { return i.store.Asked() }) {
					cancel(errGivenWay)
				}
			case <-while.Done():
				return
			}
		}
	})
	return while, func() {
		cancel(nil)
		looking.Wait()
	}
}

// pickCached adds the image with an id, or the one whose id begins so, to what is chosen of
// each cache.
func pickCached(open []idleCache, picked [][]chosen, word string) error {
	want, found := strings.ToLower(word), ""
	if len(want) < minDigits {
		return fail(exitUsage, "%q is too short for an id: give %d digits or more", word, minDigits)
	}
	for n, i := range open {
		all := i.store.List()
		for _, l := range all {
			switch id := l.Key.ID; {
			case !strings.HasPrefix(id, want), id == found:
			case found != "":
				return fail(exitUsage, "%q is the beginning of several ids: give more digits", word)
			default:
				found = id
			}
		}
		if images := ofID(all, found); len(images) > 0 {
			picked[n] = append(picked[n], chosen{name: found, images: images})
		}
	}
	if found == "" {
		return fail(exitNoImage, "no cached image has the id %q: see imagefs cache list; without a mount nobody knows its name", word)
	}
	return nil
}
