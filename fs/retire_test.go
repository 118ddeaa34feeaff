package fs

import (
	"context"
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
