package commit

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// fakeRenames is what a directory knows of renames: it is asked before the image with the
// id goes.
type fakeRenames func(id string) error

func (f fakeRenames) FinishBefore(_ context.Context, id string) error { return f(id) }

// What is to be replaced may have come to its name by a rename that is not finished: it
// stays until that is.
func TestFinishBeforeReplacing(t *testing.T) {
	for kind, ok := range map[image.Kind]bool{image.Other: true, image.Stalled: false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
			asked := 0
			o := h.options()
			o.Renames = fakeRenames(func(id string) error {
				if asked++; id != old.ID || h.service.count("delete") > 0 {
					t.Errorf("asked about %s after %d deletions", id, h.service.count("delete"))
				}
				if ok {
					return nil
				}
				return &image.Error{Op: "finish", Image: id, Kind: kind}
			})
			h.Committer = New(o)
			d := h.draft(over(old), pattern(5000))
			img, err := h.Commit(ctxb, d)
			left := img.ID
			if !ok {
				left = old.ID
			}
			if ok != (err == nil) || !ok && !image.Is(err, kind) || h.only().ID != left || asked == 0 {
				t.Errorf("%v: %v, asked %d times: %+v", kind, err, asked, h.service.all())
			}
			if r := d.Record(); !ok && (r.State != staging.StateFailed || r.Image != "") {
				t.Errorf("%v: draft %+v", kind, r)
			}
		})
	}
}

// What is to be replaced is not there any more once that is finished, for another image has
// its name; or it has its own name again.
func TestFinishBeforeReplacingMovesIt(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
			successor := ""
			o := h.options()
			o.Renames = fakeRenames(func(id string) error {
				if !back {
					check(t, h.service.Delete(ctxb, id))
					successor = h.service.put(image.Image{Name: "x"}, []byte("other bytes")).ID
				}
				return &image.Error{Op: "finish", Image: id, Kind: image.Stale}
			})
			h.Committer = New(o)
			img, err := h.Commit(ctxb, h.draft(over(old), pattern(5000)))
			if left := h.only().ID; back && (err != nil || left != img.ID) || !back && (!image.Is(err, image.Stale) || left != successor) {
				t.Errorf("back %v: %v, %+v", back, err, h.service.all())
			}
		})
	}
}

// A file whose image is gone is renamed over another image: that is retired, and the new one
// is still what the first was.
func TestRenamedOverWithoutItsImage(t *testing.T) {
	for _, status := range []image.Status{image.StatusActive, image.StatusQueued} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			other := h.service.put(image.Image{Name: "y", Tags: []string{"other"}}, []byte("other bytes"))
			own := image.Image{Name: "x", Tags: []string{"own"}, Status: status}
			spec := staging.Spec{}
			if status == image.StatusQueued {
				own, spec = queued(h)
				own.Tags = []string{"own"}
				own = h.service.put(own, nil)
				spec.Inherit = &own
			} else {
				own = h.service.put(own, []byte("old bytes"))
				spec = over(own)
			}
			d := h.draft(spec, pattern(500))
			check(t, h.service.Delete(ctxb, own.ID))
			check(t, d.RenameOver("y", "y", &other, false, ""))
			_, err := h.Commit(ctxb, d)
			check(t, err)
			if got := h.only(); got.ID == other.ID || got.Name != "y" || !slices.Equal(got.Tags, []string{"own"}) {
				t.Errorf("%s: %+v", status, got)
			}
		})
	}
}

// Others rename what is to be replaced to the name of the image that is gone, to keep it.
func TestRenamedToTheNameOfAGoneImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake())
		own := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
		other := h.service.put(image.Image{Name: "y"}, []byte("other bytes"))
		d := h.draft(over(own), pattern(500))
		check(t, h.service.Delete(ctxb, own.ID))
		check(t, d.RenameOver("y", "y", &other, false, ""))
		other.Name = "x"
		h.service.put(other, []byte("other bytes"))
		_, err := h.Commit(ctxb, d)
		check(t, err)
		if all := h.service.all(); len(all) != 2 {
			t.Errorf("%+v", all)
		}
	})
}
