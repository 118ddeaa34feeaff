package commit

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// faultCase is one commit of a new file of 5000 bytes, or over an old image.
type faultCase struct {
	name     string
	replaces bool
	faults   []fault
	kind     image.Kind // of the error
	ok       bool       // no error
	left     bool       // the record could not be removed: the journal names it
	aside    bool       // the old image was renamed
	creates  int        // 0: not looked at
	log      string     // must be in the log
	quick    bool       // without a time-out
}

func nth(op string, n int, k image.Kind, what effect) fault { return fault{op, n, k, what} }

// always fails the first n calls of op.
func always(op string, n int, k image.Kind, what effect) []fault {
	var all []fault
	for i := range n {
		all = append(all, nth(op, i+1, k, what))
	}
	return all
}

func faults(sets ...[]fault) []fault {
	var all []fault
	for _, s := range sets {
		all = append(all, s...)
	}
	return all
}

func one(f fault) []fault { return []fault{f} }

var faultCases = []faultCase{
	{name: "create refused", faults: one(nth("create", 1, image.Forbidden, before)), kind: image.Forbidden, creates: 1},
	{name: "create over quota", faults: one(nth("create", 1, image.Quota, before)), kind: image.Quota, creates: 1},
	{name: "create unavailable once", faults: one(nth("create", 1, image.Unavailable, before)), ok: true},
	{name: "create's answer lost", faults: one(nth("create", 1, image.Stalled, after)), ok: true, creates: 1},
	{name: "create's answer lost, and the look too", faults: []fault{nth("create", 1, image.Stalled, after), nth("get", 1, image.Stalled, before)}, ok: true, creates: 2},
	{name: "service away", faults: faults(always("create", 99, image.Unreachable, before), always("get", 99, image.Unreachable, before), always("delete", 99, image.Unreachable, before)), kind: image.Unreachable, left: true, quick: true},
	{name: "upload rejected", faults: one(nth("upload", 1, image.Rejected, before)), kind: image.Rejected, creates: 1},
	{name: "store full", faults: one(nth("upload", 1, image.Full, cut)), kind: image.Full, creates: 1},
	{name: "upload over quota", faults: one(nth("upload", 1, image.Quota, cut)), kind: image.Quota, creates: 1},
	{name: "upload forbidden", faults: one(nth("upload", 1, image.Forbidden, before)), kind: image.Forbidden, creates: 1},
	{name: "credentials", faults: one(nth("upload", 1, image.Credentials, before)), kind: image.Credentials, creates: 1},
	{name: "upload cut off once", faults: one(nth("upload", 1, image.Unavailable, cut)), ok: true, creates: 2, log: "tried again"},
	{name: "upload stuck in saving", faults: one(nth("upload", 1, image.Stalled, stuck)), ok: true, creates: 2},
	{name: "upload cut off thrice", faults: always("upload", 3, image.Unavailable, cut), kind: image.Unavailable, creates: 3},
	{name: "upload's answer lost", faults: one(nth("upload", 1, image.Unavailable, after)), ok: true, creates: 1},
	{name: "upload's answer lost, service away a while", faults: faults(one(nth("upload", 1, image.Unavailable, after)), always("get", 4, image.Unreachable, before)), ok: true, creates: 1},
	{name: "Keystone away a while after the upload", faults: always("get", 4, image.IdentityAway, before), ok: true, creates: 1},
	{name: "Keystone away before", faults: always("create", 99, image.IdentityAway, before), kind: image.IdentityAway},
	{name: "Keystone away from the upload on", faults: faults(always("get", 999, image.IdentityAway, before), always("delete", 3, image.IdentityAway, before)), kind: image.IdentityAway, left: true, creates: 1},
	{name: "import failed once", faults: one(nth("upload", 1, image.Unavailable, imported)), ok: true, creates: 2, quick: true},
	{name: "damaged once", faults: one(nth("upload", 1, 0, damaged)), ok: true, creates: 2},
	{name: "damaged twice", faults: always("upload", 2, 0, damaged), kind: image.Corrupt, creates: 2},
	{name: "truncated twice", faults: always("upload", 2, 0, short), kind: image.Corrupt, creates: 2},
	{name: "check unavailable once", faults: one(nth("get", 1, image.Unavailable, before)), ok: true, creates: 1},
	{name: "check forbidden", faults: one(nth("get", 1, image.Forbidden, before)), kind: image.Forbidden, creates: 1},
	{name: "unhide's answer lost", faults: one(nth("update", 1, image.Stalled, after)), ok: true, creates: 1},
	{name: "unhide unavailable once", faults: one(nth("update", 1, image.Unavailable, before)), ok: true, creates: 1},
	{name: "unhide refused", faults: one(nth("update", 1, image.Forbidden, before)), kind: image.Forbidden, creates: 1},
	{name: "unhide away", faults: always("update", 9, image.Unavailable, before), kind: image.Unavailable, creates: 1},
	{name: "upload rejected, removal's answer lost", faults: []fault{nth("upload", 1, image.Rejected, before), nth("delete", 1, image.Stalled, after)}, kind: image.Rejected},
	{name: "upload rejected, removal away", faults: faults(one(nth("upload", 1, image.Rejected, before)), always("delete", 3, image.Unavailable, before)), kind: image.Rejected, left: true, log: "could not be removed"},
	{name: "upload cut off, removal away", faults: faults(one(nth("upload", 1, image.Unavailable, cut)), always("delete", 3, image.Unavailable, before)), kind: image.Unavailable, left: true, creates: 1},

	{name: "replace", replaces: true, ok: true},
	{name: "replace, look fails", replaces: true, faults: always("get", 3, image.Unavailable, before), kind: image.Unavailable},
	{name: "replace, members refused", replaces: true, faults: one(nth("members", 1, image.Forbidden, before)), kind: image.Forbidden},
	{name: "replace, member refused", replaces: true, faults: one(nth("addmember", 1, image.Forbidden, before)), kind: image.Forbidden, creates: 1},
	{name: "replace, member's answer lost", replaces: true, faults: one(nth("addmember", 1, image.Unavailable, after)), ok: true},
	{name: "replace, upload rejected", replaces: true, faults: one(nth("upload", 1, image.Rejected, before)), kind: image.Rejected},
	{name: "retire unavailable once", replaces: true, faults: one(nth("delete", 1, image.Unavailable, before)), ok: true},
	{name: "retire's answer lost", replaces: true, faults: one(nth("delete", 1, image.Unavailable, after)), ok: true},
	{name: "retire's answer lost, then away", replaces: true, faults: []fault{nth("delete", 1, image.Unavailable, after), nth("delete", 2, image.Unavailable, before), nth("delete", 3, image.Unavailable, before)}, ok: true},
	{name: "retire in use", replaces: true, faults: one(nth("delete", 1, image.Busy, before)), ok: true, aside: true, log: "it was renamed"},
	{name: "retire in use, rename's answer lost", replaces: true, faults: faults(one(nth("delete", 1, image.Busy, before)), one(nth("update", 2, image.Stalled, after))), ok: true, aside: true},
	{name: "retire in use, rename refused", replaces: true, faults: []fault{nth("delete", 1, image.Busy, before), nth("update", 2, image.Forbidden, before)}, kind: image.Busy},
	{name: "retire refused", replaces: true, faults: one(nth("delete", 1, image.Protected, before)), kind: image.Protected},
	{name: "retire away", replaces: true, faults: always("delete", 3, image.Unavailable, before), kind: image.Unavailable},
	{name: "retire away, removal too", replaces: true, faults: always("delete", 6, image.Unavailable, before), kind: image.Unavailable, left: true},
	{name: "retire away, removal's last answer lost", replaces: true, faults: faults(always("delete", 5, image.Unavailable, before), one(nth("delete", 6, image.Unavailable, after))), kind: image.Unavailable},
}

func TestFaults(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, c.run)
		})
	}
}

func (c faultCase) run(t *testing.T) {
	f := newFake(c.faults...)
	h := newHouse(t, f)
	content := pattern(5000)
	spec := staging.Spec{Name: "x", Entry: "x"}
	var old image.Image
	if c.replaces {
		old = f.put(image.Image{Name: "x"}, []byte("old bytes"))
		f.members[old.ID] = []image.Member{{Project: "p", Status: "accepted"}}
		spec = over(old)
	}
	d := h.draft(spec, content)
	begun := time.Now()
	img, err := h.Commit(ctxb, d)
	if took := time.Since(begun); took > 3*time.Minute || c.quick && took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if c.ok != (err == nil) || !c.ok && !image.Is(err, c.kind) {
		t.Fatalf("error %v, want kind %v\n%s", err, c.kind, h.log)
	}
	if c.creates != 0 && f.count("create") != c.creates {
		t.Errorf("%d creates, want %d", f.count("create"), c.creates)
	}
	if !strings.Contains(h.log.String(), c.log) {
		t.Errorf("the log does not say %q:\n%s", c.log, h.log)
	}
	if c.ok {
		c.succeeded(t, h, d, img, old)
	} else {
		c.failed(t, h, d, old)
	}
	if !bytes.Equal(bytesOf(t, d), content) {
		t.Error("the draft's bytes changed")
	}
	if len(h.Active()) != 0 {
		t.Error("still active")
	}
}

func (c faultCase) succeeded(t *testing.T, h *house, d *staging.Draft, img, old image.Image) {
	for _, got := range h.service.all() {
		switch {
		case got.ID == img.ID:
			if got.Hidden || got.Name != "x" || got.Properties[image.PropertyDraft] != "" || !bytes.Equal(h.stored(img.ID), pattern(5000)) {
				t.Errorf("record %+v", got)
			}
		case c.aside && got.ID == old.ID:
			if got.Name != "x~replaced-"+old.ID[:8] {
				t.Errorf("the old image is called %q", got.Name)
			}
		default:
			t.Errorf("left in the service: %+v", got)
		}
	}
	if r := d.Record(); d.Dirty() || r.State != staging.StateCommitted || r.Image != img.ID || r.Replaces != img.ID {
		t.Errorf("draft: dirty %v, %+v", d.Dirty(), r)
	}
	if len(h.names.told) != 1 {
		t.Errorf("told %+v", h.names.told)
	}
}

func (c faultCase) failed(t *testing.T, h *house, d *staging.Draft, old image.Image) {
	r := d.Record()
	if !d.Dirty() || r.State != staging.StateFailed || r.Reason == "" || r.Replaces != old.ID {
		t.Errorf("draft: dirty %v, %+v", d.Dirty(), r)
	}
	for _, got := range h.service.all() {
		switch {
		case got.ID == old.ID:
			if diff := cmp.Diff(old, got); diff != "" {
				t.Errorf("the old image changed:\n%s", diff)
			}
		case c.left && got.ID == r.Image:
			if !got.Hidden || got.Properties[image.PropertyDraft] != d.ID() {
				t.Errorf("what could not be removed shows: %+v", got)
			}
		default:
			t.Errorf("left in the service: %+v", got)
		}
	}
	if (r.Image != "") != c.left {
		t.Errorf("the journal names %q", r.Image)
	}
	if len(h.names.told) != 0 {
		t.Errorf("told %+v", h.names.told)
	}
	log := h.log.String()
	if !c.left && strings.Contains(log, "what a failed commit made could") {
		t.Errorf("the log says that something is left:\n%s", log)
	}
	for _, part := range []string{"commit failed", "name=x", c.kind.String(), d.Path(), "next="} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not say %q:\n%s", part, log)
		}
	}
	// The faults are over: what was left goes, and the draft becomes an image.
	h.service.mu.Lock()
	h.service.faults = nil
	h.service.mu.Unlock()
	img, err := h.Commit(context.Background(), d)
	if err != nil || h.only().ID != img.ID || !bytes.Equal(h.stored(img.ID), pattern(5000)) {
		t.Errorf("the next commit: %v, %+v", err, h.service.all())
	}
}

// A record whose creation was not answered, and that is not there when it is to be
// taken back, may be made yet: the journal goes on naming it, and so it goes.
func TestCreatedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake(always("create", 3, image.Stalled, before)...))
		d := h.draft(staging.Spec{Name: "x"}, pattern(100))
		_, err := h.Commit(ctxb, d)
		late := d.Record().Image
		if !image.Is(err, image.Stalled) || late == "" || h.service.count("create") != 3 {
			t.Fatalf("%v, draft %+v", err, d.Record())
		}
		h.service.put(image.Image{ID: late, Name: "x", Hidden: true, Properties: map[string]string{image.PropertyDraft: d.ID()}}, nil)
		img, err := h.Commit(ctxb, d)
		if err != nil || h.only().ID != img.ID || img.ID == late {
			t.Errorf("%v: %+v", err, h.service.all())
		}
	})
}

// So it is where whoever waited for it has given up: the request is on its way all the same.
func TestCreatedAfterInterrupt(t *testing.T) {
	f := newFake()
	h := newHouse(t, f)
	d := h.draft(staging.Spec{Name: "x"}, pattern(100))
	ctx, cancel := context.WithCancelCause(ctxb)
	f.hook = func(c call) {
		if c.op == "create" && !c.done {
			cancel(image.ErrRemoval)
		}
	}
	_, err := h.Commit(ctx, d)
	late := d.Record().Image
	if !image.Is(err, image.Interrupted) || late == "" {
		t.Fatalf("%v, draft %+v", err, d.Record())
	}
	f.hook = nil
	f.put(image.Image{ID: late, Name: "x", Hidden: true, Properties: map[string]string{image.PropertyDraft: d.ID()}}, nil)
	img, err := h.Commit(ctxb, d)
	if err != nil || h.only().ID != img.ID || img.ID == late {
		t.Errorf("%v: %+v", err, f.all())
	}
}
