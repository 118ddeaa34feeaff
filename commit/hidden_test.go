package commit

import (
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// hiddenQueued is a draft into an empty image that its owner has hidden.
func hiddenQueued(t *testing.T, h *house) *staging.Draft {
	t.Helper()
	q, spec := queued(h)
	q.Hidden = true
	q = h.service.put(q, nil)
	spec.Inherit = &q
	return h.draft(spec, pattern(500))
}

// An empty image that its owner has hidden stays so, also where an earlier commit had made it
// ready and could not put it back, or was killed in the upload or before it published that.
func TestIntoHiddenQueued(t *testing.T) {
	down := func(op string, first int) []fault {
		return []fault{nth(op, first, image.Unavailable, before), nth(op, first+1, image.Unavailable, before), nth(op, first+2, image.Unavailable, before)}
	}
	for title, faults := range map[string][]fault{
		"at once":                    nil,
		"put back":                   one(nth("upload", 1, image.Rejected, before)),
		"not put back":               append(down("update", 2), nth("upload", 1, image.Rejected, before)),
		"spoilt":                     one(nth("upload", 1, image.Rejected, stuck)),
		"spoilt, and not removed":    append(down("delete", 1), nth("upload", 1, image.Rejected, stuck)),
		"uploaded, and not put back": {nth("update", 2, image.Forbidden, before), nth("get", 3, image.Forbidden, before), nth("get", 4, image.Forbidden, before)},
	} {
		t.Run(title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake(faults...))
				d := hiddenQueued(t, h)
				_, err := h.Commit(ctxb, d)
				for range 3 {
					if err != nil {
						_, err = h.Commit(ctxb, d)
					}
				}
				check(t, err)
				if got := h.only(); !got.Hidden || got.Properties[image.PropertyDraft] != "" || got.Status != image.StatusActive {
					t.Errorf("record %+v", got)
				}
			})
		})
	}
}

// So it does where the draft is given up.
func TestWithdrawHiddenQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake(nth("upload", 1, image.Rejected, before),
			nth("update", 2, image.Unavailable, before), nth("update", 3, image.Unavailable, before), nth("update", 4, image.Unavailable, before)))
		d := hiddenQueued(t, h)
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) || h.only().Properties[image.PropertyDraft] == "" {
			t.Fatal(err)
		}
		if stays, err := h.Withdraw(ctxb, d); stays != "" || err != nil {
			t.Errorf("%q, %v", stays, err)
		}
		if got := h.only(); !got.Hidden || got.Properties[image.PropertyDraft] != "" {
			t.Errorf("record %+v", got)
		}
	})
}
