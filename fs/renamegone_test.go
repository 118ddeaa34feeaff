package fs

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// TestRenameOfAFileWhoseImageIsGone: an image that is edited is deleted by others, or, while
// it is renamed, by the commit that gives way and has spoilt its record. The file
// is there all the same, and goes where it is moved; what was there goes when its image
// is made, not before.
func TestRenameOfAFileWhoseImageIsGone(t *testing.T) {
	for _, when := range []string{"before", "meanwhile"} {
		for _, over := range []string{"nothing", "an image", "a new file", "an edited image"} {
			t.Run(when+", over "+over, func(t *testing.T) {
				h := newHouse()
				a := h.add("a", "0123")
				h.edit(a.ID, func(i *image.Image) {
					mode := uint32(0o600)
					past := time.Unix(1e9, 0)
					i.Properties[image.PropertyAttributes] = image.Attributes{Mode: &mode, ModTime: &past}.Encode(i.ID)
				})
				if over == "an image" || over == "an edited image" {
					h.add("b", "below")
				}
				if when == "meanwhile" {
					h.hook = func(_ context.Context, op, _ string) error {
						if op == "rename" {
							h.drop(a.ID)
						}
						return nil
					}
				}
				m := mountHouse(t, h)
				var w *os.File
				if over == "a new file" || over == "an edited image" {
					w = must(os.OpenFile(m.path("b"), os.O_WRONLY|os.O_CREATE, 0o644))
					must(w.WriteString("never"))
				}
				f := must(os.OpenFile(m.path("a"), os.O_RDWR|os.O_TRUNC, 0))
				must(f.WriteString("edited"))
				was := must(f.Stat())
				if when == "before" {
					h.drop(a.ID)
				}
				if err := os.Rename(m.path("a"), m.path("b")); err != nil {
					t.Fatal(err)
				}
				m.absent("a")
				m.want("b", "edited")
				if now := must(os.Stat(m.path("b"))); now.Mode() != was.Mode() || !now.ModTime().Equal(was.ModTime()) {
					t.Errorf("%v, %v, want %v, %v", now.Mode(), now.ModTime(), was.Mode(), was.ModTime())
				}
				if moved := h.drafts[must(m.Lookup(t.Context(), "b")).Draft]; over == "an image" && !moved.foreign {
					t.Error("the draft takes over from what it replaces")
				}
				if below := m.count(); over == "an image" && below != 1 {
					t.Errorf("%d images: what is replaced goes when the new one is there", below)
				}
				for _, open := range []*os.File{f, w} {
					if open == nil {
						continue
					}
					if err := open.Close(); err != nil {
						t.Fatal(err)
					}
				}
				m.settled()
				m.want("b", "edited")
				if m.content("b") != "edited" || m.count() != 1 {
					t.Errorf("the image is %q of %d, after %v", m.content("b"), m.count(), m.log)
				}
			})
		}
	}
}

// TestRenameOfAnUnchangedFileWhoseImageIsGone: there is nothing that could be at the new name.
func TestRenameOfAnUnchangedFileWhoseImageIsGone(t *testing.T) {
	h := newHouse()
	a := h.add("a", "0123")
	h.add("b", "stays")
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
	h.drop(a.ID)
	wantErr(t, os.Rename(m.path("a"), m.path("b")), syscall.ENOENT)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	m.settled()
	m.want("b", "stays")
}
