package commit

import (
	"bytes"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// A queued record that was not marked yet, when the daemon was killed, and that others
// have filled since is theirs.
func TestIntoFilledByOthersMeanwhile(t *testing.T) {
	for _, state := range []staging.State{staging.StateCommitting, staging.StateFailed} {
		h := newHouse(t, newFake())
		q, spec := queued(h)
		d := h.crashed(spec, pattern(500), state, q)
		h.service.put(q, []byte("somebody else's"))
		img, err := h.Recover(ctxb, d)
		check(t, err)
		if img.ID == q.ID || string(h.stored(q.ID)) != "somebody else's" || !bytes.Equal(h.stored(img.ID), pattern(500)) {
			t.Errorf("%s: %+v", state, h.service.all())
		}
	}
}

// fill is what somebody else's upload into a queued record leaves of it.
func (f *fake) fill(id, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store(f.images[id].Clone(), []byte(content))
}

// theirs fails unless somebody else's image stands as its owner knows it, and ours is
// beside it.
func (h *house) theirs(q image.Image, ours string) {
	h.t.Helper()
	if len(h.service.all()) != 2 || string(h.stored(q.ID)) != "somebody else's" || !bytes.Equal(h.stored(ours), pattern(500)) {
		h.t.Fatalf("%+v", h.service.all())
	}
	for _, img := range h.service.all() {
		if img.Hidden || img.Properties[image.PropertyDraft] != "" || img.Name != "q" || img.Properties["k"] != "v" {
			h.t.Errorf("%+v", img)
		}
	}
}

// Whenever somebody else fills the queued record, what is in there stays, and the
// draft becomes an image beside it.
func TestIntoFilledByOthersWhileCommitting(t *testing.T) {
	for _, at := range []call{
		{op: "get", done: true}, // after it was found empty
		{op: "update"},          // before it is made ready
		{op: "update", done: true},
		{op: "upload"}, // after that
	} {
		h := newHouse(t, newFake())
		q, spec := queued(h)
		filled := false
		h.service.hook = func(c call) {
			if c.op == at.op && c.done == at.done && !filled {
				filled = true
				h.service.fill(q.ID, "somebody else's")
			}
		}
		d := h.draft(spec, pattern(500))
		img, err := h.Commit(ctxb, d)
		if err != nil || img.ID == q.ID {
			t.Fatalf("%+v: %v %+v", at, err, h.service.all())
		}
		h.theirs(q, img.ID)
		if r := d.Record(); r.Into != "" || r.Replaces != img.ID {
			t.Errorf("%+v: draft %+v", at, r)
		}
	}
}

// The service went away before the commit could see that it was overtaken: the next one
// knows it all the same.
func TestIntoFilledByOthersUnseen(t *testing.T) {
	for _, at := range []string{"update", "upload"} {
		h := newHouse(t, newFake())
		q, spec := queued(h)
		filled := false
		h.service.deny = func(c call) error {
			if c.op == at && !filled {
				h.service.fill(q.ID, "somebody else's")
				filled = true
				if at == "update" {
					return h.service.err(c.op, c.id, image.Forbidden)
				}
				return nil
			}
			if filled && c.op == "get" {
				return h.service.err(c.op, c.id, image.Forbidden)
			}
			return nil
		}
		d := h.draft(spec, pattern(500))
		if _, err := h.Commit(ctxb, d); err == nil {
			t.Fatal("committed")
		}
		if r := d.Record(); r.State != staging.StateFailed || r.Into != q.ID || r.Filling {
			t.Fatalf("%s: draft %+v", at, r)
		}
		h.service.deny = nil
		img, err := h.Commit(ctxb, d)
		check(t, err)
		h.theirs(q, img.ID)
	}
}

// The daemon was killed between making the record ready and the upload, and somebody
// else has filled it since: its mark is this draft's, its data is not.
func TestRecoverIntoFilledByOthers(t *testing.T) {
	h := newHouse(t, newFake())
	q := h.service.put(image.Image{Name: "q", Hidden: true, Properties: map[string]string{"k": "v", image.PropertyDraft: "mine"}}, nil)
	d := h.crashed(staging.Spec{Name: "q", Into: q.ID}, pattern(500), staging.StateCommitting, q)
	h.service.fill(q.ID, "somebody else's")
	img, err := h.Recover(ctxb, d)
	check(t, err)
	h.theirs(q, img.ID)
}

// A draft that is discarded takes nothing of somebody else's with it.
func TestWithdrawIntoFilledByOthers(t *testing.T) {
	h := newHouse(t, newFake())
	q := h.service.put(image.Image{Name: "q", Hidden: true, Properties: mine()}, nil)
	d := h.crashed(staging.Spec{Name: "q", Into: q.ID}, pattern(500), staging.StateCommitting, q)
	h.service.fill(q.ID, "somebody else's")
	stays, err := h.Withdraw(ctxb, d)
	if got := h.only(); err != nil || stays != q.ID || got.Hidden || got.Properties[image.PropertyDraft] != "" {
		t.Errorf("%v, %q stays: %+v", err, stays, got)
	}
}

// Somebody else has filled the record with the same bytes. It is adopted, and stays
// where it cannot be published.
func TestIntoFilledByOthersAlike(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	d := h.crashed(spec, pattern(500), staging.StateCommitting, q)
	h.service.fill(q.ID, string(pattern(500)))
	check(t, d.Update(func(r *staging.Record) { r.Name = "renamed" }))
	h.service.deny = func(c call) error {
		if c.op == "update" {
			return h.service.err(c.op, c.id, image.Forbidden)
		}
		return nil
	}
	if _, err := h.Recover(ctxb, d); !image.Is(err, image.Forbidden) || !bytes.Equal(h.stored(q.ID), pattern(500)) {
		t.Errorf("%v: %+v", err, h.service.all())
	}
}

// Two commits make one record ready, and one of them fails: it leaves the record to the
// other.
func TestIntoMadeReadyByOthers(t *testing.T) {
	h := newHouse(t, newFake(nth("upload", 1, image.Rejected, before)))
	q, spec := queued(h)
	h.service.hook = func(c call) {
		if c.op == "upload" {
			_, err := h.service.Update(ctxb, q.ID, []image.Change{{Field: image.PropertyDraft, Property: true, Value: "another"}})
			check(t, err)
		}
	}
	d := h.draft(spec, pattern(500))
	if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) {
		t.Fatal(err)
	}
	if got := h.only(); !got.Hidden || got.Properties[image.PropertyDraft] != "another" {
		t.Errorf("%+v", got)
	}
}
