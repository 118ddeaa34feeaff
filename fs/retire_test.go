package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

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

// The journal of a file that is edited knows that it goes with its image before that
// goes; where the service refuses, it does not.
func TestRemovalOfAnEditedFileIsJournaled(t *testing.T) {
	for _, kind := range []image.Kind{image.Other, image.Protected, image.Stalled} { // Other: it succeeds
		h := newHouse()
		img := h.add("a", "AAAA")
		var atRemoval string
		h.hook = func(_ context.Context, op, _ string) error {
			if op != "remove" {
				return nil
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, d := range h.drafts {
				d.mu.Lock()
				atRemoval = d.removing
				d.mu.Unlock()
			}
			if kind == image.Other {
				return nil
			}
			return &image.Error{Op: op, Kind: kind}
		}
		m := mountHouse(t, h)
		f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
		must(f.WriteString("x"))
		if err := os.Remove(m.path("a")); (err == nil) != (kind == image.Other) {
			t.Errorf("%v: %v", kind, err)
		}
		h.mu.Lock()
		for _, d := range h.drafts {
			d.mu.Lock()
			if atRemoval != img.ID || (d.removing == "") != (kind == image.Protected) {
				t.Errorf("%v: before %q, after %q", kind, atRemoval, d.removing)
			}
			d.mu.Unlock()
		}
		h.mu.Unlock()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		m.settled()
	}
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

// Nor may a removal that has run out of time before the commit has given way: taking
// back what that had made can take longer.
func TestLateRemovalLosesNothing(t *testing.T) {
	for _, how := range []string{"flush", "release"} {
		t.Run(how, func(t *testing.T) {
			h := newHouse()
			disk := h.add("disk", "0123456789")
			came, away := newGate("commit", "disk"), make(chan struct{})
			h.hook = func(ctx context.Context, op, what string) error {
				err := came.hold(ctx, op, what)
				if err != nil {
					<-away
				}
				return err
			}
			m := mountHouse(t, h)
			m.want("disk", "0123456789")
			n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
			var closed <-chan error
			if how == "flush" {
				closed = whileCommitting(t, m, came, "disk", "abc")
			} else { // the last close is by a child, and left to release
				_, closed = shell(t, m, "exec 3<>disk; (while test -e /proc/$$/fd/3; do :; done; printf abc >&3) & exec 3>&-; wait")
				came.wait(t)
			}
			short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if err := n.remove(short); errnoOf(err) != syscall.EBUSY {
				t.Errorf("the removal ended with %v", err)
			}
			close(away)
			if err := result(t, closed); err != nil {
				t.Errorf("close: %v", err)
			}
			m.settled()
			if got := m.content("disk"); got != "abc3456789" || m.the("disk").ID == disk.ID {
				t.Errorf("the image has %q; drafts ended %v", got, m.ends())
			}
		})
	}
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

// renamedUnder opens the image "disk" for writing, and has others rename it to keep it.
func renamedUnder(t *testing.T, listed bool) (m *mounted, w *os.File, disk image.Image) {
	t.Helper()
	h := newHouse()
	disk = h.add("disk", "0123456789")
	m = mountHouse(t, h)
	w = must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	must(w.WriteAt([]byte("abc"), 0))
	h.edit(disk.ID, func(i *image.Image) { i.Name = "kept" })
	if listed { // the node knows the new name then
		m.want("disk", "abc3456789")
		must(os.ReadDir(m.dir))
		must(os.Stat(m.path("kept")))
	}
	return m, w, disk
}

// An image that others have renamed, to keep it, while it was written to here is not what
// the entry stands for any more.
func TestRemoveLeavesWhatOthersRenamed(t *testing.T) {
	for _, listed := range []bool{false, true} {
		m, w, disk := renamedUnder(t, listed)
		if err := os.Remove(m.path("disk")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		m.settled()
		m.absent("disk")
		if m.the("kept").ID != disk.ID || m.count() != 1 {
			t.Errorf("%d images are left", m.count())
		}
		m.eventually("the bytes of the renamed image", func() bool {
			got, err := os.ReadFile(m.path("kept"))
			return err == nil && string(got) == "0123456789"
		})
	}
}

func TestRenameOverLeavesWhatOthersRenamed(t *testing.T) {
	for _, listed := range []bool{false, true} {
		m, w, disk := renamedUnder(t, listed)
		a := m.add("a", "new")
		if err := os.Rename(m.path("a"), m.path("disk")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		m.settled()
		if m.the("kept").ID != disk.ID || m.the("disk").ID != a.ID || m.count() != 2 {
			t.Errorf("%d images are left", m.count())
		}
	}
}

func TestRenameOfWhatOthersRenamed(t *testing.T) {
	for _, listed := range []bool{false, true} {
		m, w, disk := renamedUnder(t, listed)
		wantErr(t, os.Rename(m.path("disk"), m.path("b")), syscall.ESTALE)
		if m.the("kept").ID != disk.ID {
			t.Error("the image has lost its name")
		}
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		m.settled()
		m.absent("b")
	}
}

// The same for the image that a new file was renamed over before its commit.
func TestReplacedByNewAndRenamedByOthers(t *testing.T) {
	for _, remove := range []bool{false, true} {
		h := newHouse()
		disk := h.add("disk", "0123456789")
		m := mountHouse(t, h)
		w := must(os.Create(m.path("new")))
		must(w.WriteString("abc"))
		if err := os.Rename(m.path("new"), m.path("disk")); err != nil {
			t.Fatal(err)
		}
		h.edit(disk.ID, func(i *image.Image) { i.Name = "kept" })
		var err error
		if remove {
			err = os.Remove(m.path("disk"))
		} else {
			err = os.Rename(m.path("disk"), m.path("b"))
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		m.settled()
		m.absent("disk")
		if m.the("kept").ID != disk.ID {
			t.Error("the image that the new file was renamed over is gone")
		}
		if !remove {
			m.want("b", "abc")
		}
	}
}

// Whoever has an entry open when it is removed keeps the bytes that it had then, also
// those that were written after the open.
func TestRemovedUnderReader(t *testing.T) {
	h := newHouse()
	h.add("disk", "what was there")
	m := mountHouse(t, h)
	r := must(os.Open(m.path("disk")))
	w := must(os.OpenFile(m.path("disk"), os.O_WRONLY|os.O_TRUNC, 0))
	must(w.WriteString("new"))
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// Another file's commit comes after what the release of this one has begun.
	if err := os.WriteFile(m.path("other"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := string(must(io.ReadAll(io.NewSectionReader(r, 0, 100)))); got != "new" {
			t.Errorf("it reads %q", got)
		}
		if size := must(r.Stat()).Size(); size != 3 {
			t.Errorf("its size is %d", size)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	m.eventually("both drafts to be discarded", func() bool { return m.ends()["discarded"] == 2 })
}
