package fs

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// refusing is a kernel that answers every registration alike.
type refusing struct {
	errno syscall.Errno // 0: it takes the copy
	asked int
}

func (k *refusing) RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno) {
	k.asked++
	return 1, k.errno
}

func (k *refusing) UnregisterBackingFd(int32) syscall.Errno { return 0 }

// A refusal that would be met by every copy turns passthrough off, and the kernel is
// asked no more; after any other the next open asks again.
func TestPassthroughRefused(t *testing.T) {
	for errno, off := range map[syscall.Errno]bool{
		unix.EPERM: true, unix.EACCES: true, unix.ENOTTY: true, unix.EOPNOTSUPP: true, unix.EINVAL: true,
		unix.ENOMEM: false, unix.ENOSPC: false, unix.EMFILE: false, unix.ENFILE: false, unix.EINTR: false,
		unix.ELOOP: false, unix.EISDIR: false, unix.EBADF: false,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			h := newHouse()
			c := copiesOf(t, h)
			img := h.add("disk", remoteBytes)
			c.add(img, localBytes)
			p, k := newPassthrough(c, slog.New(slog.DiscardHandler)), &refusing{errno: errno}
			p.kernel = k
			if b := p.back(img); b != nil || c.holds() != 0 {
				t.Errorf("backed by %+v, %d copies are held", b, c.holds())
			}
			if why := p.isOff(); (why != "") != off {
				t.Errorf("off because %q", why)
			}
			k.errno = 0
			b := p.back(img)
			if (b == nil) != off || (k.asked == 1) != off {
				t.Errorf("then backed by %+v, asked %d times", b, k.asked)
			}
			p.end(b)
		})
	}
}

// overlay mounts a filesystem over another until the test ends. False: it may not.
func overlay(t *testing.T) (dir string, ok bool) {
	t.Helper()
	base := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir = base + "/merged"
	err := unix.Mount("overlay", dir, "overlay", 0, "lowerdir="+base+"/lower,upperdir="+base+"/upper,workdir="+base+"/work")
	switch {
	case errors.Is(err, unix.EPERM):
		return dir, false
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// On a filesystem over another, the mount says so at once.
func TestPassthroughOnOverlay(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	dir, mounted := overlay(t)
	want := "overlayfs"
	if !mounted {
		want = "CAP_SYS_ADMIN"
	}
	c.dir = dir
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

// A copy that alone lies on a filesystem over another is read through the daemon, the
// others are passed through.
func TestOneCopyOnOverlay(t *testing.T) {
	p := mountPassable(t, newHouse())
	dir, mounted := overlay(t)
	if !mounted {
		return // and who may not do that has nothing passed through
	}
	img := p.add("other", remoteBytes)
	p.copies.add(img, localBytes)
	text := must(os.ReadFile(p.copies.path(img)))
	if err := errors.Join(os.WriteFile(dir+"/copy", text, 0o600), os.Remove(p.copies.path(img)), os.Symlink(dir+"/copy", p.copies.path(img))); err != nil {
		t.Fatal(err)
	}
	p.want("other", remoteBytes)
	p.want("disk", p.read)
	if off := p.server.Passthrough().Off; off != "" {
		t.Errorf("passthrough is off because %q", off)
	}
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
