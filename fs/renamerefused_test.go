package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// A rename that the service refuses leaves the file that was to be replaced where it
// was, also one that has no image yet.
func TestRefusedRenameOverDraft(t *testing.T) {
	h := newHouse()
	h.add("old", "before")
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "rename" {
			return &image.Error{Op: "update", Kind: image.Forbidden}
		}
		return nil
	}
	m := mountHouse(t, h)
	edited := must(os.OpenFile(m.path("old"), os.O_RDWR, 0))
	must(edited.WriteString("AFTER!"))
	fresh := must(os.Create(m.path("new")))
	must(fresh.WriteString("fresh"))
	if err := os.Rename(m.path("old"), m.path("new")); !errors.Is(err, syscall.EACCES) {
		t.Errorf("rename: %v", err)
	}
	for entry, bytes := range map[string]string{"old": "AFTER!", "new": "fresh"} {
		e, err := m.Lookup(t.Context(), entry)
		if err != nil || e.Draft == "" {
			t.Errorf("%s shows as %+v, %v", entry, e, err)
		}
		m.want(entry, bytes)
	}
	for _, f := range []*os.File{edited, fresh} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	m.settled()
	m.want("old", "AFTER!")
	m.want("new", "fresh")
}

// A refused rename over a file that is being made, with nothing written yet, leaves it to
// become the empty image that its close has promised.
func TestRefusedRenameOverNewFile(t *testing.T) {
	h := newHouse()
	h.add("theirs", "x", func(i *image.Image) { i.Owner = "others" })
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	wantErr(t, os.Rename(m.path("theirs"), m.path("new")), syscall.EPERM)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if img := m.the("new"); img.Status != image.StatusQueued {
		t.Errorf("what was closed is %+v", img)
	}
}

// A rename of an edited image that fails before anything is changed has retired nothing,
// and what was edited is committed under its old name.
func TestRefusedRenameWhileEdited(t *testing.T) {
	for _, c := range []struct {
		fails string // the operation, and of what; of anything where it says nothing
		of    string
		kind  image.Kind
		want  syscall.Errno
	}{
		{fails: "rename draft", of: "b", kind: image.LocalFull, want: syscall.ENOSPC},
		{fails: "journal rename", kind: image.LocalFull, want: syscall.ENOSPC},
		{fails: "rename", kind: image.Protected, want: syscall.EPERM},
	} {
		t.Run(c.fails, func(t *testing.T) {
			h := newHouse()
			h.add("a", "AAAA")
			h.add("b", "BBBB")
			h.hook = func(_ context.Context, op, what string) error {
				if op == c.fails && (c.of == "" || c.of == what) {
					return &image.Error{Op: op, Kind: c.kind}
				}
				return nil
			}
			m := mountHouse(t, h)
			f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
			must(f.WriteString("x"))
			wantErr(t, os.Rename(m.path("a"), m.path("b")), c.want)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			m.want("a", "xAAA")
			m.want("b", "BBBB")
			if m.content("a") != "xAAA" {
				t.Errorf("the image is %q", m.content("a"))
			}
			if c.fails == "journal rename" && m.did("rename", "b") != 0 {
				t.Errorf("the service was asked: %v", m.log)
			}
		})
	}
}
