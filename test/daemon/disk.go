package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a small filesystem for what a daemon keeps, where there is leave to mount one,
// and a plain directory elsewhere.
type Disk struct {
	Mounted bool

	dir string
}

// NewDisk makes a directory, and a filesystem of so many bytes on it. The caller closes it.
func NewDisk(dir string, size int64) (*Disk, error) {
	d := &Disk{dir: dir}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	switch err := unix.Mount("imagefs-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); {
	case err == nil:
		d.Mounted = true
	case !errors.Is(err, unix.EPERM):
		return nil, err
	}
	return d, nil
}

// Path is that of a name on it.
func (d *Disk) Path(name string) string { return filepath.Join(d.dir, name) }

// Fill leaves no room on it for so long, or until the context ends.
func (d *Disk) Fill(ctx context.Context, during time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	path := d.Path("filler")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is removed
	again := time.NewTicker(fillEvery)
	defer again.Stop()
	for size := int64(0); ctx.Err() == nil; {
		var st unix.Statfs_t
		if err := unix.Statfs(d.dir, &st); err != nil {
			return err
		}
		if free := int64(st.Bavail) * st.Bsize; free > 0 {
			switch err := unix.Fallocate(int(f.Fd()), 0, size, free); {
			case err == nil:
				size += free
			case !errors.Is(err, unix.ENOSPC): // somebody else was faster
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	return os.Remove(path)
}

// fillEvery is how long what is freed meanwhile is there for others.
const fillEvery = 20 * time.Millisecond

// Close takes the filesystem away.
func (d *Disk) Close() error {
	if !d.Mounted {
		return nil
	}
	return unix.Unmount(d.dir, unix.MNT_DETACH)
}
