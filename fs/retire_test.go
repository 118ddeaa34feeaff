package fs

import (
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// whileCommitting begins a close of the named file that is held in its commit.
func whileCommitting(t *testing.T, m *mounted, g *gate, name, data string) (closed <-chan error) {
	t.Helper()
	f := must(os.OpenFile(m.path(name), os.O_RDWR|os.O_CREATE, 0o644))
	must(f.WriteString(data))
	closed = soon(f.Close)
	g.wait(t)
	return closed
}

func TestRemoveGivesUpTheCommit(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	closed := whileCommitting(t, m, g, "new", "data")
	if err := os.Remove(m.path("new")); err != nil {
		t.Fatal(err)
	}
	if err := result(t, closed); err != nil {
		t.Errorf("closing a removed file: %v", err)
	}
	m.absent("new")
	m.settled()
	if ends := m.ends(); m.count() != 0 || ends["discarded"] != 1 {
		t.Errorf("%d images are left, drafts ended %v", m.count(), ends)
	}
}

// A removal that the service refuses must not cost the bytes that it interrupted.
func TestRefusedRemovalLosesNothing(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	g := newGate("commit", "disk")
	h.hook = func(ctx context.Context, op, what string) error {
		if op == "remove" && what == disk.ID {
			return &image.Error{Op: "delete", Image: what, Kind: image.Busy}
		}
		return g.hold(ctx, op, what)
	}
	m := mountHouse(t, h)
	closed := whileCommitting(t, m, g, "disk", "abc")
	wantErr(t, os.Remove(m.path("disk")), syscall.EBUSY)
	if err := result(t, closed); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := m.content("disk"); got != "abc3456789" {
		t.Errorf("close has succeeded, and the image has %q", got)
	}
	m.settled()
	m.want("disk", "abc3456789")
}

// What will be refused anyway does not disturb a commit.
func TestForbiddenRemoval(t *testing.T) {
	h := newHouse()
	h.add("mine", "x", func(i *image.Image) { i.Protected = true })
	h.add("theirs", "x", func(i *image.Image) { i.Owner = "others" })
	h.add("filling", "", func(i *image.Image) { i.Owner, i.Status = "others", image.StatusQueued })
	m := mountHouse(t, h)
	wantErr(t, os.Remove(m.path("mine")), syscall.EPERM)
	wantErr(t, os.Remove(m.path("theirs")), syscall.EPERM)
	wantErr(t, os.Remove(m.path("filling")), syscall.EBUSY)
	for name, want := range map[string]error{"mine": syscall.EPERM, "theirs": syscall.EPERM, "filling": syscall.EBUSY} {
		_, err := os.OpenFile(m.path(name), os.O_WRONLY, 0)
		wantErr(t, err, want)
		m.write("new", "x")
		wantErr(t, os.Rename(m.path("new"), m.path(name)), want)
	}
	if m.count() != 4 {
		t.Errorf("%d images are left", m.count())
	}
}

func TestRemovedFileGoesOn(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	w := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	r := must(os.Open(m.path("disk")))
	must(w.WriteAt([]byte("abc"), 0))
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
	must(w.WriteAt([]byte("d"), 3))
	if err := w.Chmod(0o600); err != nil {
		t.Errorf("fchmod of a removed file: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	got, err := io.ReadAll(r)
	if err != nil || string(got) != "abcd456789" {
		t.Errorf("it reads as %q, %v", got, err)
	}
	r.Close()
	m.settled()
	if m.count() != 0 || m.did("commit", "disk") != 0 {
		t.Error("a removed file was committed")
	}
	m.absent("disk")
}

// Reading what others delete is ESTALE; removing it is ENOENT, or fine where only
// a draft is left of it.
func TestDeletedByOthers(t *testing.T) {
	h := newHouse()
	a, b := h.add("a", "0123456789"), h.add("b", "0123456789")
	m := mountHouse(t, h)
	r := must(os.Open(m.path("a")))
	defer r.Close()
	w := must(os.OpenFile(m.path("b"), os.O_RDWR, 0))
	must(w.WriteString("x"))
	m.drop(a.ID)
	m.drop(b.ID)
	_, err := r.ReadAt(make([]byte, 1), 5)
	wantErr(t, err, syscall.ESTALE)
	if err := os.Remove(m.path("b")); err != nil {
		t.Errorf("removing a draft: %v", err)
	}
	w.Close()
	m.absent("b")
	wantErr(t, os.Remove(m.path("a")), syscall.ENOENT)
}

// Unlink acts on what was looked up. Where the entry has become another image since,
// the kernel looks again, and then means that one: never both.
func TestEntryMovedBeforeRemoval(t *testing.T) {
	h := newHouse()
	old := h.add("disk", "old")
	m := mountHouse(t, h)
	m.want("disk", "old")
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	m.edit(old.ID, func(i *image.Image) { i.Name = "elsewhere" })
	h.add("disk", "another")
	if _, err := m.server.fs.root.target(t.Context(), "disk"); !image.Is(err, image.Stale) {
		t.Errorf("the entry stands for another image, and: %v", err)
	}
	if now, _ := n.now(); now.ID != old.ID {
		t.Errorf("the node is behind %s, want %s", now.ID, old.ID)
	}
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
	if m.the("elsewhere").ID != old.ID || m.the("disk").ID != "" {
		t.Error("another image than the one at the entry was removed")
	}
}

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
	opened := soon(func() (err error) { d, err = n.openWrite(t.Context(), false); return err })
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
	d.leave(true)
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

// A rename whose journal cannot be written has retired nothing.
func TestRenameOverWithoutJournal(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	h.add("b", "BBBB")
	h.hook = func(_ context.Context, op, what string) error {
		if op == "rename draft" && what == "b" {
			return &image.Error{Op: op, Kind: image.LocalFull}
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
	must(f.WriteString("x"))
	wantErr(t, os.Rename(m.path("a"), m.path("b")), syscall.ENOSPC)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("a", "xAAA")
	m.want("b", "BBBB")
}

// An edited image whose rename fails keeps its old name when it is committed.
func TestRefusedRenameWhileEdited(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	h.add("b", "BBBB")
	h.hook = func(_ context.Context, op, what string) error {
		if op == "rename" {
			return &image.Error{Op: op, Kind: image.Protected}
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
	must(f.WriteString("x"))
	wantErr(t, os.Rename(m.path("a"), m.path("b")), syscall.EPERM)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("a", "xAAA")
	m.want("b", "BBBB")
	if m.content("a") != "xAAA" {
		t.Errorf("the image is %q", m.content("a"))
	}
}

// What waits too long for another one's upload is busy, and not an I/O error.
func TestTurnRunsOutOfTime(t *testing.T) {
	n := &node{fs: newFS(t.Context(), newHouse().rooms(), Options{}, defaultTuning)}
	if err := n.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := n.take(ctx); errnoOf(err) != syscall.EBUSY {
		t.Errorf("the wait ended with %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := n.take(stopped); errnoOf(err) != syscall.EINTR {
		t.Errorf("the wait ended with %v", err)
	}
	n.give()
	if err := n.take(stopped); err != nil {
		t.Errorf("a free turn was not given: %v", err)
	}
}
