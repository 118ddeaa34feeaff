package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/config"
)

// A mount that begins while a command looks at its cache waits until that has closed it.
func TestMountWaitsForCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := service(t, nil)
	m := w.mounted(url) // which makes the cache
	w.mustRun("unmount", m)
	s, err := disk.OpenIdle(disk.Options{Dir: serviceDir(filepath.Join(w.dir, "cache"), url+"/v2"), BlockSize: cache.BlockSize})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		eventually(t, "the mount asks", s.Asked)
		closed <- s.Close()
	}()
	w.mustRun("mount", "--endpoint", url, "--staging-dir", w.dir+"/staging", m)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if c := w.mustAsk(m).Cache; c.Disk == nil || c.Warning != "" {
		t.Errorf("%+v", c)
	}
}

// A command that is at a cache for long ends where a mount wants it, and says so.
func TestCacheGivesWay(t *testing.T) {
	t.Parallel()
	c := config.Config{CacheDir: t.TempDir()}
	o := disk.Options{Dir: serviceDir(c.CacheDir, "http://127.0.0.1/v2"), BlockSize: cache.BlockSize}
	s, err := disk.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	std := streams{Err: t.Output()}
	err = idleWork(c, std, nil, func(diskCache, []chosen) work {
		return func(ctx context.Context, _ workSink) error {
			if _, err := disk.Open(o); !errors.Is(err, disk.ErrAsked) {
				t.Errorf("%v", err)
			}
			<-ctx.Done()
			return ctx.Err()
		}
	})(t.Context(), nil)
	if !errors.Is(err, errGivenWay) || codeOf(err) != exitLocalDir {
		t.Errorf("%v", err)
	}
	if s, err = openDisk(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
