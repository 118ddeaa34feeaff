package commit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// unanswered begins a commit of which the service answers no request for a record. What was
// asked for is made by come.
func (h *house) unanswered(d *staging.Draft) (come func() error) {
	h.t.Helper()
	empty := d.Size() == 0
	commit := h.Commit
	if empty {
		commit = h.CommitEmpty
	}
	h.service.faults = always("create", 3, image.Stalled, before)
	if _, err := commit(ctxb, d); !image.Is(err, image.Stalled) {
		h.t.Fatal(err)
	}
	late := image.New{ID: d.Record().Image, Name: "x", Hidden: !empty}
	if !empty {
		late.Properties = map[string]string{image.PropertyDraft: d.ID()}
	}
	return func() error {
		_, err := h.service.Create(ctxb, late)
		return err
	}
}

// The creation that a failed commit had asked for comes while the next one makes its image, or
// after: nothing but that is left.
func TestCommitBeforeLateCreation(t *testing.T) {
	for _, size := range []int{0, 900} {
		for name, when := range map[string]call{"before its successor": {op: "get", done: true}, "after it": {op: "create", done: true}} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHouse(t, newFake())
					d := h.draft(staging.Spec{Name: "x"}, pattern(size))
					come := h.unanswered(d)
					if size > 0 {
						h.write(d, []byte("more"), 0)
					}
					h.service.hook = func(c call) {
						if c.op == when.op && c.done == when.done {
							h.service.hook = nil
							_ = come() // it may be refused
						}
					}
					img, err := h.Recover(ctxb, d)
					if err != nil || h.only().ID != img.ID || img.Hidden {
						t.Errorf("%v: %+v", err, h.service.all())
					}
				})
			})
		}
	}
}

// The creation that a failed commit had asked for comes after the file was removed, and looked
// after.
func TestWithdrawBeforeLateCreationOfFailed(t *testing.T) {
	for _, size := range []int{0, 900} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			d := h.draft(staging.Spec{Name: "x"}, pattern(size))
			come := h.unanswered(d)
			check(t, d.Unlink())
			check(t, d.Close())
			time.Sleep(creationSettles / 2)
			if err := h.recover(); !errors.Is(err, ErrMayCome) {
				t.Fatalf("looked after at once: %v", err)
			}
			check(t, come())
			time.Sleep(creationSettles)
			if err := h.recover(); err != nil || len(h.service.all()) != 0 {
				t.Errorf("%v, %+v", err, h.service.all())
			}
		})
	}
}
