package fs

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

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

// Another draft is begun at an entry between a lookup and what follows it: who opens or makes
// the file finds that one, and only who wants a new file is told that there is one.
func TestDraftBegunMeanwhile(t *testing.T) {
	for _, c := range []struct {
		entry string
		flags int
		want  error
	}{
		{"old", os.O_WRONLY, nil}, {"old", os.O_WRONLY | os.O_TRUNC, nil},
		{"new", os.O_WRONLY | os.O_CREATE, nil}, {"new", os.O_WRONLY | os.O_CREATE | os.O_EXCL, syscall.EEXIST},
	} {
		h := newHouse()
		h.add("old", "0123456789")
		var begun atomic.Bool
		h.hook = func(_ context.Context, op, what string) error {
			if op == "add draft" && !begun.Swap(true) {
				return &image.Error{Op: op, Image: what, Kind: image.Exists}
			}
			return nil
		}
		m := mountHouse(t, h)
		f, err := os.OpenFile(m.path(c.entry), c.flags, 0o644)
		if wantErr(t, err, c.want); err == nil {
			wantErr(t, f.Close(), nil)
		}
		if !begun.Load() {
			t.Errorf("%s, %x: no draft was begun", c.entry, c.flags)
		}
		m.settled()
	}
}

// What is opened for writing while a rename of it was not answered is settled before; where it
// has another name then, the kernel looks again.
func TestWriteFinishesRename(t *testing.T) {
	h := newHouse()
	was := h.add("to", "moved here, and to go back")
	var asked atomic.Int32
	h.hook = func(_ context.Context, op, what string) error {
		if op == "finish" && what == was.ID && asked.Add(1) == 1 {
			h.edit(was.ID, func(i *image.Image) { i.Name = "from" })
			h.add("to", "what was there")
			return &image.Error{Op: op, Image: what, Kind: image.Stale}
		}
		return nil
	}
	m := mountHouse(t, h)
	f, err := os.OpenFile(m.path("to"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("WHAT"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	m.settled()
	m.want("to", "WHAT was there")
	m.want("from", "moved here, and to go back")
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// What is made at a name, or renamed to it, while a rename of that name was not answered,
// replaces what has the name back.
func TestMakeFinishesRename(t *testing.T) {
	for title, do := range map[string]func(m *mounted) error{
		"create": func(m *mounted) error { return os.WriteFile(m.path("from"), []byte("new"), 0o600) },
		"rename": func(m *mounted) error { return os.Rename(m.path("x"), m.path("from")) },
		"rename of a draft": func(m *mounted) error {
			f, err := os.Create(m.path("y"))
			if err != nil {
				return err
			}
			_, err = f.WriteString("new")
			return errors.Join(err, os.Rename(m.path("y"), m.path("from")), f.Close())
		},
	} {
		h := newHouse()
		h.add("x", "new")
		var asked atomic.Int32
		h.hook = func(_ context.Context, op, what string) error {
			if op == "finish" && what == "from" && asked.Add(1) == 1 {
				h.add("from", "what was not moved")
				return &image.Error{Op: op, Image: what, Kind: image.Stale}
			}
			return nil
		}
		m := mountHouse(t, h)
		if err := do(m); err != nil {
			t.Errorf("%s: %v", title, err)
		}
		m.settled()
		m.want("from", "new")
		if n := m.count(); n != map[bool]int{true: 1, false: 2}[title == "rename"] || asked.Load() != 1 {
			t.Errorf("%s: %d images are left; asked %d times", title, n, asked.Load())
		}
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

// An image that others have renamed, to keep it, while it was written to here, has a file of
// its own: what is written to that is none of what the draft becomes.
func TestWriteToWhatOthersRenamed(t *testing.T) {
	m, w, disk := renamedUnder(t, true)
	if err := os.WriteFile(m.path("kept"), []byte("kept, and new"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.want("disk", "abc3456789")
	m.want("kept", "kept, and new")
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	m.settled()
	m.want("disk", "abc3456789")
	m.want("kept", "kept, and new")
	if m.count() != 2 || m.the("disk").ID == "" || m.the("kept").ID == disk.ID {
		t.Errorf("%d images are left", m.count())
	}
}
