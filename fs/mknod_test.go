package fs

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// mknod makes a regular file.
func (m *mounted) mknod(name string) {
	m.t.Helper()
	if err := unix.Mknod(m.path(name), unix.S_IFREG|0o644, 0); err != nil {
		m.t.Fatal(err)
	}
}

// What makes a file, sets its attributes and opens it then, as tar does, makes one image,
// and that in one go.
func TestMknodThenOpen(t *testing.T) {
	for how, change := range map[string]func(*Options){"": func(*Options) {}, "behind": quickly} {
		t.Run(how, func(t *testing.T) {
			m := mountHouse(t, newHouse(), change, func(o *Options) { o.waits.linger = time.Hour })
			m.mknod("f")
			if info, err := os.Stat(m.path("f")); err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
				t.Errorf("it is %v, %v", info, err)
			}
			m.want("f", "") // who only reads it does not end it
			wantErr(t, unix.Mknod(m.path("f"), unix.S_IFREG|0o644, 0), syscall.EEXIST)
			if err := unix.Setxattr(m.path("f"), "user.image.tags", []byte("a"), 0); err != nil {
				t.Fatal(err)
			}
			f := must(os.OpenFile(m.path("f"), os.O_WRONLY|os.O_CREATE, 0o600))
			must(f.WriteString("bytes"))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.eventually("it to be committed", func() bool { return m.content("f") == "bytes" })
			if img := m.the("f"); len(img.Tags) != 1 || m.count() != 1 || m.did("commit empty", "f") != 0 {
				t.Errorf("%+v, %d images", img, m.count())
			}
		})
	}
}

// A file that nobody opens becomes an image without data after a while, or with the end of
// the mount, and can be filled then; one that is opened and closed becomes that at once.
func TestMknodWithoutOpen(t *testing.T) {
	h := newHouse()
	m := mountHouse(t, h, func(o *Options) { o.waits.linger = time.Millisecond })
	m.mknod("f")
	m.settled()
	if img := m.the("f"); img.Status != image.StatusQueued || m.count() != 1 {
		t.Errorf("%+v, %d images", img, m.count())
	}
	m.write("f", "bytes")
	m.settled()
	m.want("f", "bytes")
	if m.count() != 1 {
		t.Errorf("%d images", m.count())
	}

	h = newHouse()
	m = mountHouseFor(t, h, func(o *Options) { o.waits.linger = time.Hour })
	for _, name := range []string{"opened", "left", "removed"} {
		m.mknod(name)
	}
	if err := must(os.OpenFile(m.path("opened"), os.O_WRONLY, 0)).Close(); err != nil {
		t.Fatal(err)
	}
	m.eventually("the opened one to be an image", func() bool { return m.did("commit empty", "opened") == 1 })
	if err := os.Remove(m.path("removed")); err != nil {
		t.Fatal(err)
	}
	m.absent("removed")
	if err := os.Rename(m.path("left"), m.path("moved")); err != nil {
		t.Fatal(err)
	}
	if m.count() != 1 {
		t.Errorf("%d images before the unmount", m.count())
	}
	m.unmount()
	if m.did("commit empty", "moved") != 1 || m.count() != 2 {
		t.Errorf("%d images after the unmount: %v", m.count(), h.log)
	}
}

// One that a killed program has made and opened goes as if it had made it by open(2).
func TestMknodKilled(t *testing.T) {
	m := mountHouse(t, newHouse(), func(o *Options) { o.waits.linger = time.Hour })
	m.mknod("f")
	_, ended := shell(t, m, "exec 3>>f; kill -KILL $$")
	endedBy(t, result(t, ended), syscall.SIGKILL)
	m.settled()
	if ends := m.ends(); m.count() != 0 || ends["discarded"] != 1 {
		t.Errorf("%d images, drafts %v", m.count(), ends)
	}
}

// Nothing but regular files, and none below the directory of ids.
func TestMknodRefused(t *testing.T) {
	m := mountHouse(t, newHouse())
	for what, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "character device": unix.S_IFCHR, "block device": unix.S_IFBLK} {
		if err := unix.Mknod(m.path("n"), mode|0o644, 0); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a %s: %v", what, err)
		}
	}
	wantErr(t, unix.Mknod(m.path(".by-id/f"), unix.S_IFREG|0o644, 0), syscall.EPERM)
	if m.count() != 0 || len(m.ends()) != 0 {
		t.Errorf("%d images, drafts %v", m.count(), m.ends())
	}
}
