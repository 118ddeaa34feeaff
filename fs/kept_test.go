package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// journal is what the journal of the only draft says of its file.
func (m *mounted) journal() image.Attributes {
	m.t.Helper()
	all := m.each()
	if len(all) != 1 {
		m.t.Fatalf("there are %d drafts", len(all))
	}
	return all[0].attributes
}

// An fsync puts on the disk what was set on the file, too, and an mtime only as long as
// it is that of the bytes.
func TestFsyncKeepsAttributes(t *testing.T) {
	m := mountHouse(t, newHouse())
	f := must(os.Create(m.path("f")))
	must(f.WriteString("x"))
	if err := errors.Join(os.Chtimes(m.path("f"), longAgo, longAgo), f.Chmod(0o640), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if a := m.journal(); a.Mode == nil || *a.Mode != 0o640 || a.ModTime == nil || !a.ModTime.Equal(longAgo) {
		t.Errorf("after fsync the journal has %+v", a)
	}
	must(f.WriteString("y"))
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if a := m.journal(); a.Mode == nil || a.ModTime != nil {
		t.Errorf("after another write and fsync the journal has %+v", a)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if a := m.the("f").Attributes(); a.ModTime == nil || a.ModTime.Equal(longAgo) || *a.Mode != 0o640 {
		t.Errorf("the image has %+v", a)
	}
}

// What is kept in staging says what was set on the file.
func TestKeptDraftHasAttributes(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, m *mounted, f *os.File){
		"killed": func(t *testing.T, m *mounted, f *os.File) {
			cmd, ended := shell(t, m, "exec >>f; printf y; while :; do sleep 0.01; done")
			m.eventually("its bytes", func() bool { _, d := m.node("f").now(); return d.bytes.Size() == 1 })
			if err := errors.Join(os.Chtimes(m.path("f"), longAgo, longAgo), f.Chmod(0o640), cmd.Process.Kill()); err != nil {
				t.Error(err)
			}
			endedBy(t, result(t, ended), syscall.SIGKILL)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			m.settled()
			m.unmount()
		},
		"failed": func(t *testing.T, m *mounted, f *os.File) {
			must(f.WriteString("y"))
			wantErr(t, syscall.Close(must(syscall.Dup(int(f.Fd())))), syscall.EDQUOT)
			if err := errors.Join(os.Chtimes(m.path("f"), longAgo, longAgo), f.Chmod(0o640)); err != nil {
				t.Error(err)
			}
			wantErr(t, f.Close(), syscall.EDQUOT)
			m.settled()
			m.unmount()
		},
		"open": func(t *testing.T, m *mounted, f *os.File) {
			must(f.WriteString("y"))
			if err := errors.Join(os.Chtimes(m.path("f"), longAgo, longAgo), f.Chmod(0o640)); err != nil {
				t.Error(err)
			}
			if err := unix.Unmount(m.dir, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			m.server.Wait()
			m.rescue.Stop()
			f.Close() // its connection is gone
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse()
			h.hook = func(_ context.Context, op, _ string) error {
				if op == "commit" {
					return &image.Error{Op: "upload", Kind: image.Quota}
				}
				return nil
			}
			m := mountHouseFor(t, h)
			leave(t, m, must(os.Create(m.path("f"))))
			if a := m.journal(); a.Mode == nil || *a.Mode != 0o640 || a.ModTime == nil || !a.ModTime.Equal(longAgo) {
				t.Errorf("the journal has %+v; drafts ended %v", a, m.ends())
			}
		})
	}
}
