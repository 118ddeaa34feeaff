package commit

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// A commit that is given up because its entry is being removed is no failure, and its
// draft is not kept: the log says neither.
func TestGivenUpForRemoval(t *testing.T) {
	removing, cancel := context.WithCancelCause(context.Background())
	cancel(image.ErrRemoval)
	for what, begin := range map[string]func(h *house, f *fake) context.Context{
		"before it began": func(*house, *fake) context.Context { return removing },
		"in its upload": func(_ *house, f *fake) context.Context {
			ctx, cancel := context.WithCancelCause(context.Background())
			f.slow = func(int64) error { cancel(image.ErrRemoval); return nil }
			return ctx
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			d := h.draft(staging.Spec{Name: "x"}, pattern(5000))
			if _, err := h.Commit(begin(h, f), d); !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
				t.Errorf("%v: %+v", err, f.all())
			}
			if log := h.log.String(); strings.Contains(log, "ERROR") || !strings.Contains(log, "its entry is being removed") {
				t.Errorf("log: %s", log)
			}
			f.slow = nil
			if img, err := h.Commit(ctxb, d); err != nil || img.Size != 5000 { // the removal was refused
				t.Errorf("%v: %+v", err, img)
			}
		})
	}
}

// comesLate makes an empty file and removes it; then comes its record, for which the service
// has to stall until then.
func (h *house) comesLate() (d *staging.Draft, id string) {
	h.t.Helper()
	d = h.draft(staging.Spec{Name: "x"}, nil)
	if _, err := h.CommitEmpty(ctxb, d); !image.Is(err, image.Stalled) {
		h.t.Fatal(err)
	}
	check(h.t, d.Unlink())
	id = d.Record().Image
	h.service.put(image.Image{ID: id, Name: "x"}, nil)
	return d, id
}

// An empty file was removed before the service answered that it has its record. The record
// comes later, and shows: what somebody has written to it by the time it is removed stays.
func TestRemovedEmptyComesAndIsFilled(t *testing.T) {
	for what, c := range map[string]struct {
		comes func(h *house, id string)
		stays bool
	}{
		"empty":  {func(*house, string) {}, false},
		"filled": {func(h *house, id string) { h.service.fill(id, "somebody else's") }, true},
		"being filled": {func(h *house, id string) {
			_, err := h.service.Update(ctxb, id, []image.Change{{Field: "os_hidden", Value: true}, {Field: image.PropertyDraft, Property: true, Value: "another"}})
			check(h.t, err)
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake(always("create", 3, image.Stalled, before)...))
				d, id := h.comesLate()
				c.comes(h, id)
				stays, err := h.Withdraw(ctxb, d)
				if err != nil || (stays == id) != c.stays || (len(h.service.all()) == 1) != c.stays {
					t.Errorf("%q stays: %+v, %v", stays, h.service.all(), err)
				}
			})
		})
	}
}

// Between a refused deletion and the next one, what was empty may be filled.
func TestRemovedEmptyIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake(faults(always("create", 3, image.Stalled, before), []fault{nth("delete", 1, image.Unavailable, before)})...))
		d, id := h.comesLate()
		if _, err := h.Withdraw(ctxb, d); !image.Is(err, image.Unavailable) {
			t.Fatal(err)
		}
		h.service.fill(id, "somebody else's")
		if stays, err := h.Withdraw(ctxb, d); stays != id || err != nil || string(h.stored(id)) != "somebody else's" {
			t.Errorf("%q stays, %v: %+v", stays, err, h.service.all())
		}
	})
}

// What an empty file's commit has made and takes back was seen by all meanwhile.
func TestTakenBackEmptyIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nth("create", 1, image.Stalled, after))
		h := newHouse(t, f)
		d := h.draft(staging.Spec{Name: "x"}, nil)
		gets := 0
		f.deny = func(c call) error {
			if c.op != "get" {
				return nil
			}
			if gets++; gets == 2 { // the look after the second try
				f.deny = nil
				f.fill(d.ID(), "somebody else's")
			}
			return f.err(c.op, c.id, image.Unavailable)
		}
		if _, err := h.CommitEmpty(ctxb, d); err == nil {
			t.Fatal("committed")
		}
		if string(h.stored(d.ID())) != "somebody else's" {
			t.Errorf("%+v", h.service.all())
		}
	})
}

// An image that was published as its file was removed, and cannot be removed at once, goes later.
func TestRemovedTooLateAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(always("delete", 3, image.Unavailable, before)...)
		h := newHouse(t, f)
		d := h.draft(staging.Spec{Name: "x"}, pattern(900))
		h.names.hook = func() { check(t, d.Unlink()) }
		if _, err := h.Commit(ctxb, d); err == nil || d.Record().Image == "" {
			t.Fatalf("%v, draft %+v", err, d.Record())
		}
		if stays, err := h.Withdraw(ctxb, d); stays != "" || err != nil || len(f.all()) != 0 {
			t.Errorf("%q, %v: %+v", stays, err, f.all())
		}
	})
}
