package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The contenders of the second read.
const (
	keptPages     = imagefs + ", the same mount"
	passedThrough = imagefs + ", a new mount, passthrough"
	throughDaemon = imagefs + ", a new mount, no passthrough"
)

func again() row {
	return row{
		name: "again", title: "Second read",
		about: `An image that was read once, and verified where there is a new mount, is read again. The same mount: the
kernel has kept its pages, of 4 KiB each, as in any FUSE mount. A new mount with the old cache on disk, whose files are
in the page cache as the local file is: with FUSE passthrough, and without it, for which the cache is put on overlayfs, where the kernel has none.`,
		metrics: []metric{speed}, fills: 3,
		targets: []target{
			{text: "kept pages: 0.6 of a local file", of: keptPages, over: []string{"local"}, metric: speed, least: 0.6},
			{text: "passthrough: 0.95 of a local file", of: passedThrough, over: []string{"local"}, metric: speed, least: 0.95},
			{text: "without it: 0.25 of a local file", of: throughDaemon, over: []string{"local"}, metric: speed, least: 0.25},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			p := l.large
			twice := func(ctx context.Context, m *mount) (values, error) {
				if _, err := readFile(ctx, m.path(p.name)); err != nil {
					return nil, err
				}
				return l.reading(p)(ctx, m)
			}
			same := l.onImagefs(l.plain, twice)
			same.name = keptPages
			contenders := []contender{
				l.localFile(p), l.largeWrites(p), same,
				{name: passedThrough, how: "the same", measure: func(ctx context.Context) (values, error) {
					return l.remounted(ctx, p, l.temp, os.RemoveAll)
				}},
				{name: throughDaemon, how: "the same", measure: func(ctx context.Context) (values, error) {
					return l.remounted(ctx, p, l.overlay, endOverlay)
				}},
			}
			for _, r := range l.sequentialRclones() {
				if r.cached {
					contenders = append(contenders, l.onRclone(l.plain, r, twice))
				}
			}
			return contenders, nil
		},
	}
}

// remounted reads an image once through one mount, and measures the second read
// through another that has the same cache, in a directory that create makes.
func (l *lab) remounted(ctx context.Context, p published, create func(string) (string, error), remove func(string) error) (v values, err error) {
	private, err := create("again")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove(private)) }()
	m, err := l.mountImagefs(ctx, l.plain, private)
	if _, err := with(m, err, func(m *mount) (values, error) {
		if _, err := readFile(ctx, m.path(p.name)); err != nil {
			return nil, err
		}
		return nil, l.verified(ctx, m)
	}); err != nil {
		return nil, err
	}
	m, err = l.mountImagefs(ctx, l.plain, private)
	return with(m, err, func(m *mount) (values, error) { return l.reading(p)(ctx, m) })
}

// overlay makes a directory on overlayfs.
func (l *lab) overlay(name string) (string, error) {
	dir, err := l.temp(name)
	if err != nil {
		return "", err
	}
	options := ""
	for _, layer := range []string{"lowerdir", "upperdir", "workdir"} {
		path := filepath.Join(dir, layer)
		if err := os.Mkdir(path, 0o700); err != nil {
			return "", err
		}
		options += "," + layer + "=" + path
	}
	merged := filepath.Join(dir, "merged")
	if err := os.Mkdir(merged, 0o700); err != nil {
		return "", err
	}
	return merged, unix.Mount("overlay", merged, "overlay", 0, options[1:])
}

func endOverlay(merged string) error {
	if err := unix.Unmount(merged, 0); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Dir(merged))
}
