package commit

import (
	"bytes"
	"testing"
	"testing/synctest"

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

// What a commit has filled and could not look at afterwards stays hidden. The directory, which
// may have it as the empty file that it was, is told to ask: it would go on having the name,
// and what the next file of that name becomes would get another.
func TestIntoLeftHidden(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	filled := false
	h.service.deny = func(c call) error {
		filled = filled || c.op == "upload"
		if filled && c.op == "get" {
			return h.service.err(c.op, c.id, image.UnexpectedAnswer)
		}
		return nil
	}
	if _, err := h.Commit(ctxb, h.draft(spec, pattern(500))); !image.Is(err, image.UnexpectedAnswer) {
		t.Fatal(err)
	}
	if got := h.only(); !got.Hidden || got.Status != image.StatusActive {
		t.Fatalf("%+v", got)
	}
	if told := h.names.doubted; len(told) == 0 || told[len(told)-1] != q.Name {
		t.Errorf("the directory was told to ask for %q", told)
	}
	h.service.deny = nil
	h.names.doubted = nil
	img, err := h.Commit(ctxb, h.draft(spec, pattern(300)))
	check(t, err)
	if img.ID == q.ID || !bytes.Equal(h.stored(img.ID), pattern(300)) || len(h.service.all()) != 2 {
		t.Errorf("%+v", h.service.all())
	}
	if told := h.names.doubted; len(told) == 0 || told[0] != q.Name {
		t.Errorf("the directory, which has the hidden one, was told to ask for %q", told)
	}
}

// That there is a record of that id says nothing, where its creation was not answered before
// and it cannot be read: least of all that a file exists.
func TestCreateAnsweredByItself(t *testing.T) {
	for kind, want := range map[image.Kind]image.Kind{image.UnexpectedAnswer: image.UnexpectedAnswer, image.Unavailable: 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake(nth("create", 1, image.Unreachable, after)))
			unread := 2
			h.service.deny = func(c call) error {
				if c.op == "get" && unread > 0 {
					unread--
					return h.service.err(c.op, c.id, kind)
				}
				return nil
			}
			_, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "n"}, pattern(500)))
			if image.KindOf(err) != want || err == nil != (want == 0) {
				t.Fatalf("%s: %v", kind, err)
			}
			if n := len(h.service.all()); err != nil && n != 0 || err == nil && n != 1 {
				t.Errorf("%s: %+v", kind, h.service.all())
			}
		})
	}
}
