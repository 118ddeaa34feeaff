package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the kernel refuses a copy, the file is read through the daemon.
func TestPassthroughRefused(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	img := h.add("disk", remoteBytes)
	if err := os.Mkdir(c.path(img), 0o700); err != nil { // a directory cannot be read from
		t.Fatal(err)
	}
	m := mountHouse(t, h)
	for range 2 {
		m.want("disk", remoteBytes)
	}
	if off := m.server.Passthrough().Off; off == "" {
		t.Error("passthrough is on")
	}
	if c.out > 1 {
		t.Errorf("asked for %d copies after the refusal", c.out-1)
	}
}

// On a filesystem over another, the mount says so at once.
func TestPassthroughOnOverlay(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	dir := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.dir = dir + "/merged"
	err := unix.Mount("overlay", c.dir, "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work")
	want := "overlayfs"
	if errors.Is(err, unix.EPERM) {
		want = "CAP_SYS_ADMIN"
	} else if err != nil {
		t.Fatal(err)
	} else {
		defer func() {
			if err := unix.Unmount(c.dir, 0); err != nil {
				t.Error(err)
			}
		}()
	}
	img := h.add("disk", remoteBytes)
	c.add(img, localBytes)
	m := mountHouseFor(t, h)
	defer m.unmount()
	if off := m.server.Passthrough().Off; !strings.Contains(off, want) {
		t.Errorf("passthrough is off because %q", off)
	}
	if log := m.logged.text(); strings.Count(log, want) != 1 {
		t.Errorf("log:\n%s", log)
	}
	m.want("disk", remoteBytes)
}

// Copies are given back when the connection is aborted and files stay open.
func TestPassedAndAborted(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	img := h.add("disk", remoteBytes)
	c.add(img, localBytes)
	m := mountHouseFor(t, h)
	f := must(os.Open(m.path("disk")))
	defer f.Close()
	switch err := unix.Unmount(m.dir, unix.MNT_FORCE|unix.MNT_DETACH); {
	case errors.Is(err, unix.EPERM): // and who may not do that has nothing passed through
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		m.unmount()
		return
	case err != nil:
		t.Fatal(err)
	}
	ended := soon(func() error { m.server.Wait(); return nil })
	if err := result(t, ended); err != nil {
		t.Error(err)
	}
	m.rescue.Stop()
	if n := c.holds(); n != 0 {
		t.Errorf("%d copies are held", n)
	}
}
