package fs

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func TestRename(t *testing.T) {
	h := newHouse()
	a := h.add("a", "AAAA")
	h.add("b", "BBBB")
	m := mountHouse(t, h)
	rename := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, m.path(from), unix.AT_FDCWD, m.path(to), flags)
	}
	wantErr(t, rename("a", "b", unix.RENAME_NOREPLACE), syscall.EEXIST)
	wantErr(t, rename("a", "b", unix.RENAME_EXCHANGE), syscall.EINVAL)
	wantErr(t, rename("a", "c", unix.RENAME_WHITEOUT), syscall.EINVAL)
	wantErr(t, rename("a", ".by-id", 0), syscall.EISDIR)
	wantErr(t, rename("a", "no!", 0), syscall.EINVAL)
	wantErr(t, rename(".by-id/"+a.ID, "c", 0), syscall.EPERM)
	wantErr(t, rename("a", ".by-id/"+a.ID, 0), syscall.EPERM)
	wantErr(t, rename("none", "c", 0), syscall.ENOENT)
	wantErr(t, os.Remove(m.path(".by-id/"+a.ID)), syscall.EPERM)
	if err := rename("a", "c", unix.RENAME_NOREPLACE); err != nil {
		t.Fatal(err)
	}
	m.absent("a")
	m.want("c", "AAAA")
	if err := rename("c", "b", 0); err != nil {
		t.Fatal(err)
	}
	m.want("b", "AAAA")
	m.absent("c")
	if m.the("b").ID != a.ID || m.count() != 1 {
		t.Errorf("%d images are left, b is %s", m.count(), m.the("b").ID)
	}
}

// A draft takes its new name to the service, and retires what it was renamed over.
func TestRenameOfADraft(t *testing.T) {
	h := newHouse()
	h.add("old", "what was there")
	m := mountHouse(t, h)
	f := must(os.Create(m.path("tmp")))
	must(f.WriteString("new"))
	if err := os.Rename(m.path("tmp"), m.path("old")); err != nil {
		t.Fatal(err)
	}
	m.absent("tmp")
	m.want("old", "new")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("old", "new")
	if m.count() != 1 || m.content("old") != "new" {
		t.Errorf("%d images are left", m.count())
	}
}

// A new file that is renamed over an image keeps its own mode and owner, also where
// they are the default and the image has others.
func TestRenamedDraftKeepsItsMode(t *testing.T) {
	for name, answered := range map[string]bool{"open": false, "owed": true} {
		t.Run(name, func(t *testing.T) {
			h, away := awayHouse()
			h.add("disk", "old", func(i *image.Image) {
				mode, gid := uint32(0o600), uint32(7)
				i.Properties[image.PropertyAttributes] = image.Attributes{Mode: &mode, GID: &gid}.Encode(i.ID)
			})
			var change []func(*Options)
			if answered {
				change = append(change, quickly)
			}
			m := mountHouse(t, h, change...)
			f := must(os.Create(m.path("tmp")))
			must(f.WriteString("new"))
			if answered {
				if err := syscall.Close(must(syscall.Dup(int(f.Fd())))); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(m.path("tmp"), m.path("disk")); err != nil {
				t.Fatal(err)
			}
			if a := m.journal(); answered && (a.Mode == nil || *a.Mode != fileMode) {
				t.Errorf("the journal has %+v", a)
			}
			away.on.Store(false)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			if a := m.the("disk").Attributes(); m.content("disk") != "new" || a.Mode == nil || *a.Mode != fileMode || a.GID == nil || *a.GID != 1000 || a.UID != nil {
				t.Errorf("the image %q has %+v", m.content("disk"), a)
			}
		})
	}
}

// What a draft was renamed over is gone, also when the draft goes on from there
// before it was committed.
func TestDraftLeavesWhatItReplaced(t *testing.T) {
	for _, removed := range []bool{false, true} {
		h := newHouse()
		h.add("old", "what was there")
		m := mountHouse(t, h)
		f := must(os.Create(m.path("tmp")))
		must(f.WriteString("new"))
		if err := os.Rename(m.path("tmp"), m.path("old")); err != nil {
			t.Fatal(err)
		}
		leave := func() error { return os.Rename(m.path("old"), m.path("other")) }
		if removed {
			leave = func() error { return os.Remove(m.path("old")) }
		}
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		m.absent("old")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		m.settled()
		m.absent("old")
		if want := map[bool]int{false: 1}[removed]; m.count() != want {
			t.Errorf("%d images are left, want %d", m.count(), want)
		}
	}
}

// One that is renamed over such a draft takes that image's end upon itself.
func TestRenameOverADraftThatReplaces(t *testing.T) {
	h := newHouse()
	h.add("old", "what was there")
	h.add("third", "3")
	m := mountHouse(t, h)
	f := must(os.Create(m.path("tmp")))
	must(f.WriteString("new"))
	for _, from := range []string{"tmp", "third"} {
		if err := os.Rename(m.path(from), m.path("old")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("old", "3")
	if m.count() != 1 {
		t.Errorf("%d images are left", m.count())
	}
}

// An edited image that is renamed keeps its new name when it is committed.
func TestRenameWhileEdited(t *testing.T) {
	h := newHouse()
	h.add("a", "0123")
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
	must(f.WriteString("x"))
	if err := os.Rename(m.path("a"), m.path("b")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.absent("a")
	m.want("b", "x123")
}

// An open for writing that meets a rename begins at the new name.
func TestOpenForWritingMeetsARename(t *testing.T) {
	h := newHouse()
	h.add("a", "0123")
	g := newGate("rename", "b")
	h.hook = g.hold
	m := mountHouse(t, h)
	m.want("a", "0123")
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "a")))
	renamed := soon(func() error { return os.Rename(m.path("a"), m.path("b")) })
	g.wait(t)
	var d *draft
	opened := soon(func() (err error) { d, err = n.openWrite(t.Context(), false, &handleChanges{}); return err })
	select {
	case err := <-opened:
		t.Fatalf("a draft began in the middle of a rename (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	for _, done := range []<-chan error{renamed, opened} {
		if err := result(t, done); err != nil {
			t.Fatal(err)
		}
	}
	if d.bytes.(*fakeDraft).spec.Name != "b" {
		t.Errorf("the draft would be committed as %q", d.bytes.(*fakeDraft).spec.Name)
	}
	d.leave()
	m.settled()
}

// What is renamed over is removed: its own commit is given up, or goes on where the
// rename is refused.
func TestRenameOverAnUpload(t *testing.T) {
	for _, refused := range []bool{false, true} {
		h := newHouse()
		h.add("a", "AAAA")
		g := newGate("commit", "b")
		h.hook = func(ctx context.Context, op, what string) error {
			if op == "rename" && refused {
				return &image.Error{Op: "rename", Image: what, Kind: image.Busy}
			}
			return g.hold(ctx, op, what)
		}
		m := mountHouse(t, h)
		closed := whileCommitting(t, m, g, "b", "uploading")
		err := os.Rename(m.path("a"), m.path("b"))
		if cerr := result(t, closed); cerr != nil {
			t.Errorf("close of what was renamed over: %v", cerr)
		}
		m.settled()
		if refused {
			wantErr(t, err, syscall.EBUSY)
			m.want("a", "AAAA")
			m.want("b", "uploading")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.absent("a")
		m.want("b", "AAAA")
		if m.count() != 1 {
			t.Errorf("%d images are left", m.count())
		}
	}
}

// A rename that cannot begin has not given up the upload of what it would replace.
func TestRenameOverAnUploadCannotBegin(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	g := newGate("commit", "b")
	h.hook = g.hold
	m := mountHouse(t, h)
	m.want("a", "AAAA")
	closed := whileCommitting(t, m, g, "b", "uploading")
	a := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "a")))
	if err := a.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	wantErr(t, errnoOf(m.server.fs.root.rename(ctx, "a", "b", false)), syscall.EBUSY)
	a.give()
	close(g.open)
	if err := result(t, closed); err != nil {
		t.Errorf("close of what was not renamed over: %v", err)
	}
	m.settled()
	if m.content("b") != "uploading" || m.did("commit", "b") != 1 {
		t.Errorf("b is %q, after %v", m.content("b"), m.log)
	}
}
