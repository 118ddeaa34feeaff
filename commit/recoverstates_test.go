package commit

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// crashed is a draft that a killed daemon left in the state, taken up again, with the
// image that its journal names.
func (h *house) crashed(spec staging.Spec, content []byte, state staging.State, img image.Image) *staging.Draft {
	h.t.Helper()
	d, err := h.store.Create(spec)
	check(h.t, err)
	h.write(d, content, 0)
	check(h.t, d.Update(func(r *staging.Record) { r.State, r.Image = state, img.ID }))
	if img.Properties[image.PropertyDraft] == "mine" {
		h.service.mu.Lock()
		img.Properties[image.PropertyDraft] = d.ID()
		h.service.images[img.ID] = img
		h.service.mu.Unlock()
	}
	check(h.t, d.Close())
	kept, err := h.store.Kept()
	check(h.t, err)
	d = h.reopen(kept[0])
	h.t.Cleanup(func() { check(h.t, d.Close()) })
	return d
}

func mine() map[string]string { return map[string]string{image.PropertyDraft: "mine"} }

// What was uploaded whole is not uploaded again.
func TestRecoverAdopts(t *testing.T) {
	h := newHouse(t, newFake())
	img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, pattern(900))
	d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateCreated, img)
	got, err := h.Recover(ctxb, d)
	if err != nil || got.ID != img.ID || h.only().Hidden || h.service.count("upload") != 0 || len(h.names.told) != 1 {
		t.Errorf("%v: %+v, told %+v", err, h.service.all(), h.names.told)
	}
}

// An image that is not marked as this draft's is never removed, nor changed.
func TestRecoverLeavesOthersAlone(t *testing.T) {
	for _, state := range []staging.State{staging.StateCommitting, staging.StateCreated} {
		for name, properties := range map[string]map[string]string{"unmarked": nil, "marked by another": {image.PropertyDraft: "another"}} {
			h := newHouse(t, newFake())
			img := h.service.put(image.Image{Name: "x", Properties: properties}, []byte("somebody else's"))
			d := h.crashed(staging.Spec{Name: "x"}, pattern(900), state, img)
			got, err := h.Recover(ctxb, d)
			if err != nil || got.ID == img.ID || len(h.service.all()) != 2 || string(h.stored(img.ID)) != "somebody else's" {
				t.Errorf("%s, %s: %v %+v", state, name, err, h.service.all())
			}
		}
	}
}

// The image that it became was deleted since: its bytes come back only when told.
func TestRecoverDeletedSince(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateVisible, image.Image{ID: "5a1f9d3e-0000-4000-8000-000000000000"})
	_, err := h.Recover(ctxb, d)
	if r := d.Record(); !image.Is(err, image.Stale) || r.State != staging.StateFailed || r.Image != "" || len(h.service.all()) != 0 {
		t.Errorf("%v: %+v", err, d.Record())
	}
	if _, err := h.Recover(ctxb, d); err != nil || len(h.service.all()) != 1 {
		t.Errorf("told to: %v %+v", err, h.service.all())
	}
}

// A service that is away leaves the commit owed, in the state that it has; a refusal
// makes it a failed one.
func TestRecoverLater(t *testing.T) {
	for _, c := range []struct {
		kind  image.Kind
		op    string
		state staging.State
		want  staging.State
		left  bool
	}{
		{image.Unreachable, "get", staging.StateCreated, staging.StateCreated, true},
		{image.Forbidden, "get", staging.StateVisible, staging.StateVisible, true},
		{image.Credentials, "get", staging.StateUploaded, staging.StateUploaded, true},
		{image.Unavailable, "create", staging.StateCommitting, staging.StateCommitting, false},
		{image.Unavailable, "upload", staging.StateCommitting, staging.StateCommitting, false},
		{image.Full, "upload", staging.StateCommitting, staging.StateFailed, false},
		{image.Unavailable, "upload", staging.StateOpen, staging.StateFailed, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			var img image.Image
			if c.left {
				img = f.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, pattern(900))
			}
			d := h.crashed(staging.Spec{Name: "x"}, pattern(900), c.state, img)
			f.deny = func(x call) error {
				if x.op == c.op {
					return f.err(x.op, x.id, c.kind)
				}
				return nil
			}
			_, err := h.Recover(ctxb, d)
			if r := d.Record(); !image.Is(err, c.kind) || r.State != c.want || r.Image != img.ID || r.Reason == "" {
				t.Errorf("%+v: %v, draft %+v", c, err, r)
			}
			f.deny = nil
			if _, err := h.Recover(ctxb, d); err != nil || h.only().Hidden {
				t.Errorf("%+v: later %v %+v", c, err, f.all())
			}
		})
	}
}

// The base is gone: the image that has the merged bytes is not removed for that.
func TestRecoverBaseGone(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "x", DiskFormat: "raw"}, pattern(2000))
	merged := append(bytes.Repeat([]byte("n"), 900), pattern(2000)[900:]...)
	img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, merged)
	spec := h.edit(old)
	check(t, h.service.Delete(ctxb, old.ID))
	d := h.crashed(spec, bytes.Repeat([]byte("n"), 900), staging.StateCreated, img)
	_, err := h.Recover(ctxb, d)
	if r := d.Record(); !image.Is(err, image.Stale) || r.State != staging.StateCreated || r.Image != img.ID || !bytes.Equal(h.stored(img.ID), merged) {
		t.Errorf("%v: %+v", err, r)
	}
	// Where they were compared before, nobody has to read them again.
	check(t, d.Update(func(r *staging.Record) { r.State = staging.StateUploaded }))
	got, err := h.Recover(ctxb, d)
	if err != nil || got.ID != img.ID || h.only().Hidden {
		t.Errorf("%v: %+v", err, h.service.all())
	}
}

// What the machine's end may have cost the draft is not taken for the truth.
func TestRecoverUncertain(t *testing.T) {
	h := newHouse(t, newFake())
	img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, pattern(900))
	d := h.crashed(staging.Spec{Name: "x"}, make([]byte, 900), staging.StateCreated, img)
	check(t, d.Update(func(r *staging.Record) { r.Uncertain = true }))
	if _, err := h.Recover(ctxb, d); !image.Is(err, image.Corrupt) || !bytes.Equal(h.stored(img.ID), pattern(900)) || d.Record().State != staging.StateCreated {
		t.Errorf("%v: %+v", err, d.Record())
	}
}

// An unlinked draft is not committed, and nothing of it stays.
func TestRecoverUnlinked(t *testing.T) {
	for _, c := range []struct {
		state      staging.State
		properties map[string]string
		stays      bool
	}{
		{staging.StateCreated, mine(), false},
		{staging.StateCreated, nil, true}, // not known to be ours
		{staging.StateVisible, nil, false},
		{staging.StateFailed, mine(), false},
	} {
		h := newHouse(t, newFake())
		img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: c.properties}, pattern(900))
		d, err := h.store.Create(staging.Spec{Name: "x"})
		check(t, err)
		h.write(d, pattern(900), 0)
		if c.properties != nil {
			img.Properties = map[string]string{image.PropertyDraft: d.ID()}
			h.service.images[img.ID] = img
		}
		check(t, d.Update(func(r *staging.Record) { r.State, r.Image = c.state, img.ID }))
		check(t, d.Unlink())
		check(t, d.Close())
		if err := h.recover(); err != nil || len(h.service.all()) != map[bool]int{true: 1, false: 0}[c.stays] {
			t.Errorf("%+v: %v %+v", c, err, h.service.all())
		}
		if kept, err := h.store.Kept(); err != nil || len(kept) != 0 || h.service.count("create") != 0 {
			t.Errorf("%+v: kept %+v %v", c, kept, err)
		}
	}
}

// Withdraw takes back what is half made, and says what is not.
func TestWithdraw(t *testing.T) {
	for half, properties := range map[bool]map[string]string{true: mine(), false: nil} {
		h := newHouse(t, newFake())
		img := h.service.put(image.Image{Name: "x", Hidden: half, Properties: properties}, pattern(900))
		d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateVisible, img)
		stays, err := h.Withdraw(ctxb, d)
		if err != nil || (stays == "") != half || (len(h.service.all()) == 0) != half {
			t.Errorf("half made %v: %q, %v, %+v", half, stays, err, h.service.all())
		}
	}
	h := newHouse(t, newFake())
	q := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, nil)
	d := h.crashed(staging.Spec{Name: "x", Into: q.ID}, pattern(900), staging.StateCreated, q)
	stays, err := h.Withdraw(context.Background(), d)
	if got := h.only(); err != nil || stays != "" || got.Hidden || got.Properties[image.PropertyDraft] != "" {
		t.Errorf("%q, %v, %+v", stays, err, got)
	}
}

// What an earlier commit has retired as far as it was to be is not touched again: what
// lies in the trash stays there, and what is in use keeps its other name.
func TestRecoverRetired(t *testing.T) {
	for name, retire := range map[string]func(*image.Image){
		"in the trash": func(old *image.Image) {
			old.Hidden = true
			old.Properties = map[string]string{image.PropertyTrash: image.Trash{At: time.Now(), Until: time.Now().Add(time.Hour)}.Encode(old.ID)}
		},
		"moved aside, and protected since": func(old *image.Image) { old.Name, old.Protected = old.AsideName(), true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, newFake())
			old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
			img := h.service.put(image.Image{Name: "x"}, pattern(900))
			d := h.crashed(over(old), pattern(900), staging.StateVisible, img)
			retire(&old)
			h.service.images[old.ID] = old
			got, err := h.Recover(ctxb, d)
			if err != nil || got.ID != img.ID || len(h.service.all()) != 2 {
				t.Errorf("%v: %+v", err, h.service.all())
			}
			if diff := cmp.Diff(old, h.service.images[old.ID]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A close that cannot be tried, because the service does not tell what an earlier one
// has left, has failed as well.
func TestFailedBeforeItBegan(t *testing.T) {
	h := newHouse(t, newFake(nth("get", 1, image.Forbidden, before)))
	img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, pattern(900))
	d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateFailed, img)
	h.write(d, []byte("more"), 0)
	if _, err := h.Commit(ctxb, d); !image.Is(err, image.Forbidden) || d.Record().State != staging.StateFailed || d.Record().Image != img.ID {
		t.Errorf("%v, draft %+v", err, d.Record())
	}
}

// The creation that a killed daemon had asked for comes after the next one has looked:
// not two records of one draft are left.
func TestRecoverBeforeLateCreation(t *testing.T) {
	for name, when := range map[string]call{"before its successor": {op: "get", done: true}, "after it": {op: "create", done: true}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, newFake())
			d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, pattern(900), staging.StateCommitting, image.Image{ID: "5a1f9d3e-0000-4000-8000-000000000000"})
			late := image.New{ID: d.Record().Image, Name: "x", DiskFormat: "qcow2", Hidden: true, Properties: map[string]string{image.PropertyDraft: d.ID()}}
			came := false
			h.service.hook = func(c call) {
				if c.op == when.op && c.done == when.done && !came {
					came = true
					_, _ = h.service.Create(ctxb, late) // it may be refused
				}
			}
			img, err := h.Recover(ctxb, d)
			if err != nil || h.only().ID != img.ID || img.DiskFormat != "raw" || img.Hidden {
				t.Errorf("%v: %+v", err, h.service.all())
			}
		})
	}
}

// A service that takes no id twice gets another one.
func TestRecoverIDTaken(t *testing.T) {
	h := newHouse(t, newFake())
	gone := h.service.put(image.Image{Name: "x"}, pattern(9))
	check(t, h.service.Delete(ctxb, gone.ID))
	d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, pattern(900), staging.StateCommitting, gone)
	img, err := h.Recover(ctxb, d)
	if err != nil || h.only().ID != img.ID || img.ID == gone.ID {
		t.Errorf("%v: %+v", err, h.service.all())
	}
}

// The creation that a killed daemon had asked for comes after the file was removed, and
// looked after: the draft is kept until it cannot come any more, so that nothing stays
// behind hidden. The journal has the service's time, which is not the host's.
func TestWithdrawBeforeLateCreation(t *testing.T) {
	for ahead, comes := range map[time.Duration]bool{0: false, time.Minute: true, -time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			check(t, h.store.Close())
			var err error
			h.store, err = staging.Open(staging.Options{Dir: h.dir, Service: testService, Project: h.service.project, Clock: func() time.Time { return time.Now().Add(ahead) }})
			check(t, err)
			d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, pattern(900), staging.StateCommitting, image.Image{ID: "5a1f9d3e-0000-4000-8000-000000000000"})
			late := image.New{ID: d.Record().Image, Name: "x", Hidden: true, Properties: map[string]string{image.PropertyDraft: d.ID()}}
			check(t, d.Unlink())
			check(t, d.Close())
			for range 2 { // that it was looked at does not make it younger
				if err := h.recover(); !errors.Is(err, ErrMayCome) || !Passes(err) {
					t.Fatalf("looked after at once: %v", err)
				}
				time.Sleep(creationSettles / 2)
			}
			if comes {
				_, err := h.service.Create(ctxb, late)
				check(t, err)
			}
			time.Sleep(time.Second)
			if err := h.recover(); err != nil || len(h.service.all()) != 0 {
				t.Errorf("comes %v: %v, %+v", comes, err, h.service.all())
			}
			if kept, err := h.store.Kept(); err != nil || len(kept) != 0 {
				t.Errorf("kept %+v, %v", kept, err)
			}
		})
	}
}
