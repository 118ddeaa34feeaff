package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
)

// fullSize is how much the qcow2 of the row info holds, and a little less than the
// size of its file.
const fullSize = 10 << 30

// publishFull publishes a qcow2 whose every cluster is there, all zeros. With a
// -size of less than the default it is as much smaller.
func (l *lab) publishFull(ctx context.Context) (published, error) {
	dir, err := l.temp("qcow2")
	if err != nil {
		return published{}, err
	}
	l.atEnd(func() error { return os.RemoveAll(dir) })
	path := filepath.Join(dir, "full.qcow2")
	size := min(fullSize, 10*l.options.size)
	if _, err := l.run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, strconv.FormatInt(size, 10)); err != nil {
		return published{}, err
	}
	return l.publishFile(ctx, l.plain, path, "full.qcow2", "qcow2")
}

// publishFile publishes a local file.
func (l *lab) publishFile(ctx context.Context, s *site, path, name, format string) (published, error) {
	f, err := os.Open(path)
	if err != nil {
		return published{}, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return published{}, err
	}
	return l.publish(ctx, s, name, format, info.Size(), f)
}
