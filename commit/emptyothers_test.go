package commit

import (
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// being marks a record as one that another draft's commit is filling.
func (h *house) being(id string) {
	h.t.Helper()
	_, err := h.service.Update(ctxb, id, []image.Change{
		{Field: "os_hidden", Value: true}, {Field: image.PropertyDraft, Property: true, Value: "another"}})
	check(h.t, err)
}

// The daemon was killed when it had asked for the record of an empty file. Where the file was
// removed by then, the record goes, and where it has got another name, nothing stays at the old
// one; but for what somebody has filled, or is filling.
func TestKilledWhileEmptyIsMade(t *testing.T) {
	for what, c := range map[string]struct {
		moved bool
		comes func(h *house, id string)
		stays bool
	}{
		"removed":                   {false, func(*house, string) {}, false},
		"removed and filled":        {false, func(h *house, id string) { h.service.fill(id, "somebody else's") }, true},
		"removed and being filled":  {false, (*house).being, true},
		"moved":                     {true, func(*house, string) {}, false},
		"moved and filled":          {true, func(h *house, id string) { h.service.fill(id, "somebody else's") }, true},
		"moved and is being filled": {true, (*house).being, true},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t, newFake())
			made := h.service.put(image.Image{Name: "x"}, nil)
			d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, nil, staging.StateCommitting, made)
			check(t, d.Update(func(r *staging.Record) { r.Empty = true }))
			if c.moved {
				check(t, d.Rename("y", "y", nil))
			} else {
				check(t, d.Unlink())
			}
			c.comes(h, made.ID)
			was := h.only()
			img, err := h.Recover(ctxb, d)
			check(t, err)
			want := map[string]string{}
			if c.stays {
				want[made.ID] = "x"
			}
			if c.moved {
				want[img.ID] = "y"
			}
			for _, now := range h.service.all() {
				if want[now.ID] != now.Name || now.ID == made.ID && now.Hidden != was.Hidden {
					t.Errorf("there is %+v", now)
				}
				delete(want, now.ID)
			}
			if len(want) > 0 {
				t.Errorf("there are not %v", want)
			}
		})
	}
}

// One request that fails leaves no empty image where the file was removed; where it cannot be
// removed, whoever looks for the name asks the service.
func TestTakenBackEmptyIsRemoved(t *testing.T) {
	for what, c := range map[string]struct {
		faults []fault
		left   int
	}{
		"one look fails":              {one(nth("get", 1, image.Unavailable, before)), 0},
		"a deletion's answer is lost": {one(nth("delete", 1, image.Stalled, after)), 0},
		"one deletion fails":          {one(nth("delete", 1, image.Unavailable, before)), 0},
		"each deletion fails":         {always("delete", 3, image.Unavailable, before), 1},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(c.faults...)
				h := newHouse(t, f)
				d := h.draft(staging.Spec{Name: "x"}, nil)
				h.names.hook = func() { check(t, d.Unlink()) }
				if _, err := h.CommitEmpty(ctxb, d); (err != nil) != (c.left > 0) {
					t.Error(err)
				}
				if got := f.all(); len(got) != c.left || len(h.names.doubted) != c.left {
					t.Errorf("left %+v, doubted %q", got, h.names.doubted)
				}
				if told := len(h.names.gone) > 0; told != (c.left == 0) {
					t.Errorf("the directory was told of %q", h.names.gone)
				}
			})
		})
	}
}

// The record of an empty file that cannot be removed goes on showing: whoever fills it by the
// next look keeps what was written.
func TestTakenBackEmptyIsNotMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(always("delete", 3, image.Unavailable, before)...)
		h := newHouse(t, f)
		d := h.draft(staging.Spec{Name: "x"}, nil)
		h.names.hook = func() { check(t, d.Unlink()) }
		deletes := 0
		f.hook = func(c call) {
			if c.op == "delete" && !c.done {
				deletes++
			}
			if deletes == 3 { // the last try
				f.hook = nil
				f.fill(c.id, "somebody else's")
			}
		}
		if _, err := h.CommitEmpty(ctxb, d); err == nil || d.Record().Image == "" {
			t.Fatalf("%v, draft %+v", err, d.Record())
		}
		if got := h.only(); got.Hidden || got.Properties[image.PropertyDraft] != "" {
			t.Errorf("record %+v", got)
		}
		if stays, err := h.Withdraw(ctxb, d); stays != d.ID() || err != nil || string(h.stored(d.ID())) != "somebody else's" {
			t.Errorf("%q, %v: %+v", stays, err, f.all())
		}
	})
}

// Until a commit learns that the record of an empty file is made, another one may have begun
// to fill that: it is neither shown nor removed, and its mark stays.
func TestEmptyIsFilledBeforeItIsKnown(t *testing.T) {
	for what, begin := range map[string]func(h *house) (id string, commit func() error){
		"answer lost": func(h *house) (string, func() error) {
			d := h.draft(staging.Spec{Name: "x"}, nil)
			h.service.faults = one(nth("create", 1, image.Stalled, after))
			return d.ID(), func() error { _, err := h.CommitEmpty(ctxb, d); return err }
		},
		"asked for by a killed daemon": func(h *house) (string, func() error) {
			id := "5a1f9d3e-0000-4000-8000-000000000000"
			d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, nil, staging.StateCommitting, image.Image{ID: id})
			check(h.t, d.Update(func(r *staging.Record) { r.Empty = true }))
			h.service.deny = func(c call) error {
				if c.op == "create" {
					h.service.deny = nil
					h.service.put(image.Image{ID: id, Name: "x"}, nil)
				}
				return nil
			}
			return id, func() error { _, err := h.Recover(ctxb, d); return err }
		},
		"made by a killed daemon": func(h *house) (string, func() error) {
			made := h.service.put(image.Image{Name: "x"}, nil)
			d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, nil, staging.StateUploaded, made)
			check(h.t, d.Update(func(r *staging.Record) { r.Empty = true }))
			h.being(made.ID)
			return made.ID, func() error { _, err := h.Recover(ctxb, d); return err }
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake())
				id, commit := begin(h)
				h.service.hook = func(c call) {
					if c.op == "create" && c.done || c.op == "get" && !c.done && h.service.count("create") > 0 {
						h.service.hook = nil
						h.being(id)
					}
				}
				check(t, commit())
				if got := h.only(); got.ID != id || !got.Hidden || got.Properties[image.PropertyDraft] != "another" {
					t.Errorf("record %+v", got)
				}
			})
		})
	}
}
