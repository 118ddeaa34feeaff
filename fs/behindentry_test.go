package fs

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// What waits can be removed while its upload is under way, without the service; what
// was made of it goes.
func TestWritebackRemove(t *testing.T) {
	m, _ := uploading(t, "new", "data")
	if err := os.Remove(m.path("new")); err != nil {
		t.Fatal(err)
	}
	m.absent("new")
	m.settled()
	if ends := m.ends(); ends["discarded"] != 1 || m.count() != 0 {
		t.Errorf("drafts ended %v, %d images", ends, m.count())
	}
}

// What waits can be renamed while its upload is under way, which need not begin anew.
func TestWritebackRename(t *testing.T) {
	m, g := uploading(t, "new", "data")
	if err := os.Rename(m.path("new"), m.path("other")); err != nil {
		t.Fatal(err)
	}
	m.absent("new")
	m.want("other", "data")
	close(g.open)
	m.settled()
	if m.content("other") != "data" || m.did("behind", "other") != 1 || m.count() != 1 {
		t.Errorf("the image is %q, after %v", m.content("other"), m.log)
	}
}

// As rsync and editors do it: the new file is renamed over what was there, be that an
// image or something that waits itself.
func TestWritebackRenameOver(t *testing.T) {
	h, away := awayHouse()
	h.add("f", "an image")
	m := mountHouse(t, h, quickly)
	for _, data := range []string{"first", "second"} {
		m.write(".f.tmp", data)
		if err := os.Rename(m.path(".f.tmp"), m.path("f")); err != nil {
			t.Fatal(err)
		}
		m.want("f", data)
		m.absent(".f.tmp")
	}
	away.on.Store(false)
	m.settled()
	m.want("f", "second")
	if m.content("f") != "second" || m.count() != 1 {
		t.Errorf("the image is %q of %d, after %v", m.content("f"), m.count(), m.log)
	}
}

// An edited image that waits is renamed over another: what its upload began with is
// not what the path has carried since.
func TestWritebackRenameOfAnImageOver(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	h.add("b", "BBBB")
	g := newGate("behind", "a")
	h.hook = g.hold
	m := mountHouse(t, h, quickly)
	f := must(os.OpenFile(m.path("a"), os.O_WRONLY, 0))
	must(f.WriteString("x"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g.wait(t)
	if err := os.Rename(m.path("a"), m.path("b")); err != nil {
		t.Fatal(err)
	}
	m.settled() // the gate is never opened: that try has to end
	m.absent("a")
	m.want("b", "xAAA")
	if m.content("b") != "xAAA" || m.count() != 1 {
		t.Errorf("the image is %q of %d", m.content("b"), m.count())
	}
}

// Attributes that are set while a file waits are journaled, and come with its image.
func TestWritebackAttributes(t *testing.T) {
	m, g := uploading(t, "new", "data")
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(m.path("new"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.path("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range m.each() {
		if a := d.attributes; a.ModTime == nil || !a.ModTime.Equal(at) || a.Mode == nil || *a.Mode != 0o600 {
			t.Errorf("the journal has %+v", a)
		}
	}
	close(g.open)
	m.settled()
	if a := m.the("new").Attributes(); a.ModTime == nil || !a.ModTime.Equal(at) || a.Mode == nil || *a.Mode != 0o600 || m.did("update", m.the("new").ID) != 0 {
		t.Errorf("the image has %+v, after %v", a, m.log)
	}
}

// Attributes that are set while a close is being answered are not lost between the
// journal and what waits for the next one.
func TestWritebackAttributesWhileAccepting(t *testing.T) {
	h := newHouse()
	g := newGate("accept", "new")
	h.hook = g.hold
	m := mountHouse(t, h, quickly)
	closed := soon(func() error { return os.WriteFile(m.path("new"), []byte("data"), 0o644) })
	g.wait(t)
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "new")))
	mode := uint32(0o600)
	if img, d := n.now(); d.want(img, image.Attributes{Mode: &mode}) {
		t.Error("they are noted where nobody looks for them any more")
	}
	set := soon(func() error { return os.Chmod(m.path("new"), 0o600) })
	close(g.open)
	if err := errors.Join(result(t, closed), result(t, set)); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.eventually("the mode to be at the service", func() bool { a := m.the("new").Attributes(); return a.Mode != nil && *a.Mode == 0o600 })
}

// A file that waits is there also after the kernel has forgotten it.
func TestWritebackForgotten(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, quickly)
	m.write("new", "data")
	m.eventually("the handle to go", func() bool { return m.server.OpenHandles() == 0 })
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "new")))
	m.server.EntryChanged("new")
	m.eventually("the kernel to forget it", func() bool {
		m.server.fs.mu.Lock()
		defer m.server.fs.mu.Unlock()
		return n.forgotten
	})
	m.want("new", "data")
	m.write("new", "written again")
	away.on.Store(false)
	m.settled()
	m.want("new", "written again")
	if m.content("new") != "written again" || m.count() != 1 {
		t.Errorf("the image is %q of %d", m.content("new"), m.count())
	}
}
