package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// diskOption is the size of the disk that staging and the cache lie on.
const diskOption = "size=1g,mode=700"

// disk is a small filesystem, where there is leave to mount one.
type disk struct {
	dir     string
	mounted bool
}

func newDisk(dir string) (*disk, error) {
	d := &disk{dir: dir}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	switch err := unix.Mount("soak", dir, "tmpfs", 0, diskOption); {
	case err == nil:
		d.mounted = true
	case !errors.Is(err, unix.EPERM):
		return nil, err
	}
	return d, nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) close() error {
	if !d.mounted {
		return nil
	}
	return unix.Unmount(d.dir, unix.MNT_DETACH)
}

// fillDisk leaves no room on the disk for a while.
func (s *soak) fillDisk() error {
	path := s.disk.path("filler")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is removed
	size := int64(0)
	for end := time.Now().Add(2*time.Second + s.upTo(4*time.Second)); time.Now().Before(end) && !s.ended(); s.sleep(fillEvery) {
		var st unix.Statfs_t
		if err := unix.Statfs(s.disk.dir, &st); err != nil {
			return err
		}
		free := int64(st.Bavail) * st.Bsize
		if free == 0 {
			continue
		}
		switch err := unix.Fallocate(int(f.Fd()), 0, size, free); {
		case err == nil:
			size += free
		case !errors.Is(err, unix.ENOSPC): // somebody else was faster
			return err
		}
	}
	return os.Remove(path)
}

// fillEvery is how long what is freed meanwhile is there for others.
const fillEvery = 20 * time.Millisecond

const (
	// mendBound is how long a program may have to try again, once the disk has room and the
	// requests meet no faults: the service may have asked for a pause, and a circuit that
	// is open closes with its next probe.
	mendBound = time.Minute
	mendEvery = 250 * time.Millisecond
)

// mend does what its user does after a program has failed for want of room: it makes the
// file once more, or removes it, and tries again if that fails.
func (w *worker) mend(f *file) {
	removes := w.prefix == diskPrefix || w.random.IntN(2) == 0
	for end := time.Now().Add(mendBound); !w.soak.ended(); w.soak.sleep(mendEvery) {
		if removes {
			w.remove(f)
		} else {
			s := holding(w.fresh(editMost))
			w.wrote(f, s, w.run("cp", w.write("from", s.data), w.path(f)).ok)
			f.property = append(f.property, "")
		}
		if _, ok := f.now(); ok {
			return
		}
		if time.Now().After(end) {
			w.soak.fail("there is room again, and %s can be neither made nor removed", f.name)
			return
		}
	}
}
