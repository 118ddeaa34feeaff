package commit

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// An image that the draft has had before is not its own any more: wherever a later
// commit is killed, what lies in the trash stays there.
func TestRecoverLeavesEarlierImages(t *testing.T) {
	for name, last := range map[string][]byte{"other bytes": pattern(700), "the first bytes again": pattern(900)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.keep = time.Hour
				h := newHouse(t, f)
				d := h.draft(staging.Spec{Name: "x"}, pattern(900))
				first, err := h.Commit(ctxb, d)
				check(t, err)
				h.write(d, []byte("second"), 0)
				_, err = h.Commit(ctxb, d)
				check(t, err)
				check(t, d.Truncate(ctxb, int64(len(last))))
				h.write(d, last, 0)
				check(t, d.Accept(ctxb, image.Attributes{}))
				var scenes []scene
				f.hook = h.filming(&scenes)
				_, err = h.Behind(ctxb, d, anybody)
				f.hook = nil
				check(t, err)
				for _, s := range scenes {
					h := s.resumed(t)
					check(t, h.recover())
					var shown []image.Image
					for _, img := range h.service.all() {
						if _, trashed := img.Trashed(); !trashed {
							shown = append(shown, img)
						}
					}
					if _, trashed := h.service.images[first.ID].Trashed(); !trashed || !bytes.Equal(h.stored(first.ID), pattern(900)) {
						t.Errorf("killed at %+v: the first image is %+v", s.call, h.service.images[first.ID])
					}
					if len(shown) != 1 || shown[0].Hidden || !bytes.Equal(h.stored(shown[0].ID), last) {
						t.Errorf("killed at %+v: the service shows %+v", s.call, shown)
					}
					check(t, h.store.Close())
				}
			})
		})
	}
}

// What somebody renames, to keep it, is not what the name stands for any more: the
// commit that was to replace it leaves it alone, also where it is protected by then,
// and takes over from it what the path carried.
func TestRenamedByOthers(t *testing.T) {
	for _, step := range []string{"before", "get", "upload", "update"} {
		for _, protect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, protected %v", step, protect), func(t *testing.T) {
				h := newHouse(t, newFake())
				old := h.service.put(image.Image{Name: "x", Tags: []string{"t"}}, []byte("old bytes"))
				d := h.draft(over(old), pattern(900))
				rename := func() {
					old.Name, old.Protected = "x.bak", protect
					h.service.mu.Lock()
					h.service.images[old.ID] = old
					h.service.mu.Unlock()
				}
				if step == "before" {
					rename()
				}
				h.service.hook = func(c call) {
					if c.op == step && c.done && old.Name == "x" {
						rename()
					}
				}
				img, err := h.Commit(ctxb, d)
				h.service.hook = nil
				if err != nil || img.Hidden || img.Name != "x" || !slices.Equal(img.Tags, []string{"t"}) || len(h.service.all()) != 2 {
					t.Errorf("%v: %+v", err, h.service.all())
				}
				if diff := cmp.Diff(old, h.service.images[old.ID]); diff != "" || string(h.stored(old.ID)) != "old bytes" {
					t.Error(diff)
				}
				if len(h.names.told) != 1 || h.names.told[0].retired != old.ID {
					t.Errorf("told %+v", h.names.told)
				}
			})
		}
	}
}

// A rename through the mount gives both names at once: that is no reason to leave the
// image alone.
func TestRenamedWithItsImage(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
	d := h.accepted(over(old), pattern(900))
	img, err := h.Behind(ctxb, d, func(context.Context) error {
		old.Name = "y"
		h.service.images[old.ID] = old
		return d.Rename("y", "y", nil)
	})
	if err != nil || h.only().ID != img.ID || img.Name != "y" {
		t.Errorf("%v: %+v", err, h.service.all())
	}
}

// What a failed commit has published goes also where the file has got another name
// since.
func TestPublishedUnderAnotherName(t *testing.T) {
	for _, state := range []staging.State{staging.StateFailed, staging.StateAbandoned} {
		h := newHouse(t, newFake())
		left := h.service.put(image.Image{Name: "x"}, pattern(900))
		d := h.crashed(staging.Spec{Name: "x"}, pattern(900), state, left)
		check(t, d.Rename("y", "y", nil))
		h.write(d, []byte("more"), 0)
		img, err := h.Commit(ctxb, d)
		if err != nil || h.only().ID != img.ID || img.Name != "y" {
			t.Errorf("%s: %v: %+v", state, err, h.service.all())
		}
	}
}

// What was published of a removed file goes with it, also where it has been written, or
// tried again, since that commit failed; what was only announced may be anybody's.
func TestWithdrawPublished(t *testing.T) {
	for state, goes := range map[staging.State]bool{
		staging.StateOpen: true, staging.StateVisible: true, staging.StateFailed: true, staging.StateAbandoned: true,
		staging.StateCommitting: false,
	} {
		h := newHouse(t, newFake())
		d := h.crashed(staging.Spec{Name: "x"}, pattern(900), state, h.service.put(image.Image{Name: "x"}, pattern(900)))
		check(t, d.Unlink())
		if _, err := h.Recover(ctxb, d); err != nil || (len(h.service.all()) == 0) != goes {
			t.Errorf("%s: %v, %+v", state, err, h.service.all())
		}
	}
}
