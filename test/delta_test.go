package test

import (
	"bytes"
	"os"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Where the whole listing takes long, a mount shows what others make, rename, edit, hide,
// unhide and replace without it, and what they delete when it has come. TestGlanceFaults
// does the same with a real Glance.
func TestDelta(t *testing.T) {
	api := inProcess(t, t.TempDir())
	p, s := newSlowListing(t, api)
	deltas(t, p, s)
}

// deltas mounts s, which lies behind p.
func deltas(t *testing.T, p *slowListing, s service) {
	const prefix = "delta-"
	upload := func(name string, size int) image.Image {
		return s.upload(t, image.New{Name: prefix + name}, noise(uint64(size), size))
	}
	update := func(img image.Image, field string, value any) {
		t.Helper()
		if _, err := s.api.Update(t.Context(), img.ID, []image.Change{{Field: field, Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(img image.Image) {
		t.Helper()
		if err := s.api.Delete(t.Context(), img.ID); err != nil {
			t.Fatal(err)
		}
	}
	upload("stays.img", 1000)
	renamed, hidden, replaced, removed := upload("renamed.img", 1001), upload("hidden.img", 1002), upload("replaced.img", 1003), upload("removed.img", 1004)
	unhidden := upload("unhidden.img", 1005)
	update(unhidden, "os_hidden", true)
	m := mountOn(t, s, behindTTL...)
	agree(t, prefix, m)
	before, _ := p.answered()

	p.holdListings()
	upload("made.img", 1006)
	update(renamed, "name", prefix+"name.img")
	update(hidden, "os_hidden", true)
	update(unhidden, "os_hidden", false)
	remove(replaced)
	upload("replaced.img", 1007)
	agree(t, prefix, m)
	if got, err := os.ReadFile(m.path(prefix + "replaced.img")); err != nil || !bytes.Equal(got, noise(1007, 1007)) {
		t.Errorf("the image that has replaced another reads %d bytes, %v", len(got), err)
	}
	if whole, since := p.answered(); whole != before || since == 0 {
		t.Errorf("%d whole listings and %d questions for what was changed brought it", whole-before, since)
	}

	p.letGo()
	remove(removed)
	agree(t, prefix, m)
}
