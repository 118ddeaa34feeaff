package fs

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// mountTrusted mounts where the service has accepted a change already: before
// that, changes are not answered before they are sent.
func mountTrusted(t *testing.T, h *house) *mounted {
	t.Helper()
	h.add("first", "x")
	m := mountHouse(t, h)
	if err := os.Chmod(m.path("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// touchUp makes the changes that rsync makes after it has closed a file.
func (m *mounted) touchUp(name string) {
	m.t.Helper()
	if err := errors.Join(os.Chtimes(m.path(name), longAgo, longAgo), os.Chmod(m.path(name), 0o640)); err != nil {
		m.t.Fatal(err)
	}
}

// touchedUp checks what stat shows after touchUp.
func (m *mounted) touchedUp(name string) {
	m.t.Helper()
	st, err := os.Stat(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	if st.Mode() != 0o640 || !st.ModTime().Equal(longAgo) {
		m.t.Errorf("%s shows mode %v and time %v", name, st.Mode(), st.ModTime())
	}
}

// kept checks what the record has after touchUp.
func (m *mounted) kept(name string) {
	m.t.Helper()
	if a := m.the(name).Attributes(); a.Mode == nil || *a.Mode != 0o640 || a.ModTime == nil || !a.ModTime.Equal(longAgo) {
		m.t.Errorf("the record of %s has %+v", name, a)
	}
}

// The first change of a mount is sent before it is answered; later ones of one
// image go together, a breath after they were answered.
func TestAttributesTravelTogether(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	m := mountHouse(t, h)
	if err := os.Chmod(m.path("disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := m.did("update", disk.ID); n != 1 {
		t.Fatalf("%d updates when the first change was answered", n)
	}
	m.touchUp("disk")
	if err := os.Chown(m.path("disk"), 7, 8); err != nil {
		t.Fatal(err)
	}
	m.touchedUp("disk")
	if n := m.did("update", disk.ID); n != 1 {
		t.Fatalf("%d updates within a breath", n)
	}
	m.eventually("the update", func() bool { return m.did("update", disk.ID) == 2 })
	m.kept("disk")
	m.touchedUp("disk")
}

// What waits goes along with whatever brings the image's record up to date.
func TestAttributesGoAlong(t *testing.T) {
	tags := func(m *mounted, name string) error {
		return unix.Setxattr(m.path(name), "user.image.tags", []byte("a"), 0)
	}
	for _, c := range []struct {
		what    string
		do      func(m *mounted) error
		name    string // of the image then
		updates int    // by then
	}{
		{"rename", func(m *mounted) error { return os.Rename(m.path("disk"), m.path("new")) }, "new", 0},
		{"rename over", func(m *mounted) error { return os.Rename(m.path("disk"), m.path("other")) }, "other", 0},
		{"setxattr", func(m *mounted) error { return tags(m, "disk") }, "disk", 1},
		{"fsync", func(m *mounted) error {
			f := must(os.Open(m.path("disk")))
			return errors.Join(f.Sync(), f.Close())
		}, "disk", 1},
		{"opened for writing", func(m *mounted) error {
			f := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
			m.touchedUp("disk")
			return errors.Join(f.Sync(), f.Close())
		}, "disk", 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := newHouse()
			disk := h.add("disk", "0123456789")
			h.add("other", "x")
			m := mountTrusted(t, h)
			m.touchUp("disk")
			if err := c.do(m); err != nil {
				t.Fatal(err)
			}
			if n := m.did("update", disk.ID); n != c.updates {
				t.Errorf("%d updates", n)
			}
			m.kept(c.name)
			m.touchedUp(c.name)
			if n := m.server.fs.unsent.count.Load(); n != 0 {
				t.Errorf("%d images still wait", n)
			}
		})
	}
}

// New bytes keep the mode and have a time of their own; nothing is sent for the
// image that they replace.
func TestUnsentAttributesOfAnEditedImage(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	m := mountTrusted(t, h)
	m.touchUp("disk")
	m.write("disk", "edited")
	m.settled()
	a := m.the("disk").Attributes()
	if a.Mode == nil || *a.Mode != 0o640 || a.ModTime == nil || !a.ModTime.After(longAgo) {
		t.Errorf("the record has %+v", a)
	}
	if n := m.did("update", disk.ID); n != 0 || m.server.fs.unsent.count.Load() != 0 {
		t.Errorf("%d updates of the replaced image", n)
	}
}

// A draft that is being written keeps what it has when what waited is sent.
func TestUnsentAttributesBesideAWriter(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	m := mountTrusted(t, h)
	m.touchUp("disk")
	f := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	must(f.WriteString("edited"))
	if err := f.Chmod(0o604); err != nil {
		t.Fatal(err)
	}
	m.eventually("the update", func() bool { return m.did("update", disk.ID) == 1 })
	m.kept("disk")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	a := m.the("disk").Attributes()
	if a.Mode == nil || *a.Mode != 0o604 || a.ModTime == nil || !a.ModTime.After(longAgo) {
		t.Errorf("the record has %+v", a)
	}
}

func TestUnsentAttributesOfARemovedImage(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	m := mountTrusted(t, h)
	m.touchUp("disk")
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
	if n := m.did("update", disk.ID); n != 0 || m.server.fs.unsent.count.Load() != 0 {
		t.Errorf("%d updates of the removed image", n)
	}
}

func TestUnmountSendsAttributes(t *testing.T) {
	h := newHouse()
	h.add("first", "x")
	h.add("disk", "0123456789")
	m := mountHouseFor(t, h)
	if err := os.Chmod(m.path("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.touchUp("disk")
	m.unmount()
	m.kept("disk")
}

// The mountpoint keeps what rsync -a, cp -a and tar set on the directory that they
// write into.
func TestAttributesOfTheRoot(t *testing.T) {
	h := newHouse()
	m := mountHouse(t, h)
	if err := errors.Join(os.Chtimes(m.dir, longAgo, longAgo), os.Chmod(m.dir, 0o750), os.Chown(m.dir, 7, 8)); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	own := st.Sys().(*syscall.Stat_t)
	if st.Mode() != os.ModeDir|0o750 || !st.ModTime().Equal(longAgo) || own.Uid != 7 || own.Gid != 8 {
		t.Errorf("it shows %v, %v, %d:%d", st.Mode(), st.ModTime(), own.Uid, own.Gid)
	}
	var stx unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, m.dir, 0, unix.STATX_ALL, &stx); err != nil || stx.Mode != modeDirectory|0o750 || stx.Mtime.Sec != longAgo.Unix() {
		t.Errorf("statx: %+v, %v", stx, err)
	}
	wantErr(t, os.Chmod(m.path(".by-id"), 0o700), syscall.EPERM)
	readOnly := mountHouse(t, newHouse(), func(o *Options) { o.ReadOnly = true })
	wantErr(t, os.Chmod(readOnly.dir, 0o700), syscall.EROFS)
}

// What the service refuses after it was answered is one line in the log, and stat
// shows the record's truth again. From then on who changes something is told.
func TestAttributesRefusedLater(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	refuse := newGate("update", disk.ID)
	refuse.err = &image.Error{Op: "update", Image: disk.ID, Kind: image.Forbidden}
	h.hook = func(ctx context.Context, op, what string) error {
		if op == refuse.op && what == refuse.what {
			return errors.Join(refuse.hold(ctx, op, what), refuse.err)
		}
		return nil
	}
	m := mountTrusted(t, h)
	open := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0)) // its draft shows what is set
	m.touchUp("disk")
	refuse.wait(t)
	m.touchedUp("disk")
	close(refuse.open)
	m.eventually("stat to show the truth", func() bool { return must(os.Stat(m.path("disk"))).Mode() == fileMode })
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.eventually("the time to be the truth, too", func() bool { return must(os.Stat(m.path("disk"))).ModTime().Equal(disk.CreatedAt) })
	if n := strings.Count(m.logged.text(), "could not be set"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	wantErr(t, os.Chmod(m.path("disk"), 0o600), syscall.EACCES)
	m.touchUp("first") // is accepted, and so trust is back
	m.eventually("the update", func() bool { return m.server.fs.unsent.count.Load() == 0 })
	m.kept("first")
}
