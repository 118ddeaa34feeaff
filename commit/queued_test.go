package commit

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

func queued(h *house) (image.Image, staging.Spec) {
	q := h.service.put(image.Image{Name: "q", Tags: []string{"t"}, Properties: map[string]string{"k": "v"}}, nil)
	return q, staging.Spec{Name: "q", Entry: "q", Into: q.ID, Inherit: &q}
}

func TestIntoQueued(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	seen := false
	h.service.hook = func(c call) {
		if c.op == "upload" && !c.done {
			seen = h.only().Hidden && h.only().DiskFormat == "qcow2"
		}
	}
	img, err := h.Commit(ctxb, h.draft(spec, qcow2()))
	check(t, err)
	got := h.only()
	if img.ID != q.ID || got.Status != image.StatusActive || got.Hidden || got.DiskFormat != "qcow2" || got.ContainerFormat != "bare" {
		t.Errorf("record %+v", got)
	}
	if diff := cmp.Diff(q.Properties, props(got)); diff != "" {
		t.Error(diff)
	}
	if !seen {
		t.Error("the record was not hidden during the upload")
	}
}

func TestIntoQueuedKeepsDeclaredFormat(t *testing.T) {
	h := newHouse(t, newFake())
	q := h.service.put(image.Image{Name: "kernel", DiskFormat: "aki", ContainerFormat: "aki"}, nil)
	img, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "kernel", Into: q.ID}, pattern(500)))
	check(t, err)
	if img.DiskFormat != "aki" || img.ContainerFormat != "aki" {
		t.Errorf("record %+v", img)
	}
}

// putBackOnly loses the answer of every update but those that put the record
// back: three tries, of three requests each.
func putBackOnly() []fault {
	var all []fault
	for n := range 12 {
		if n%4 != 3 {
			all = append(all, nth("update", n+1, image.Stalled, after))
		}
	}
	return all
}

func TestIntoQueuedFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []fault
		kind   image.Kind
	}{
		{"rejected", one(nth("upload", 1, image.Rejected, before)), image.Rejected},
		{"cut off", always("upload", 3, image.Unavailable, cut), image.Unavailable},
		{"formats refused", one(nth("update", 1, image.Rejected, before)), image.Rejected},
		{"formats' answer lost", putBackOnly(), image.Stalled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake(c.faults...))
				q, spec := queued(h)
				d := h.draft(spec, pattern(500))
				if _, err := h.Commit(ctxb, d); !image.Is(err, c.kind) {
					t.Fatal(err)
				}
				got := h.only()
				if got.ID != q.ID || got.Status != image.StatusQueued || got.Hidden || got.Properties[image.PropertyDraft] != "" {
					t.Errorf("record %+v", got)
				}
				if r := d.Record(); r.Into != q.ID || r.State != staging.StateFailed {
					t.Errorf("draft %+v", r)
				}
				if told := h.names.doubted; len(told) == 0 || told[len(told)-1] != q.Name {
					t.Errorf("the directory, which may have seen it hidden, was told of %q", told)
				}
				h.service.faults = nil
				img, err := h.Commit(ctxb, d)
				if err != nil || img.ID != q.ID || h.only().Status != image.StatusActive {
					t.Errorf("the next commit: %v %+v", err, h.service.all())
				}
			})
		})
	}
}

// What makes the record ready and was not answered may come after the record was put back:
// the journal goes on naming it, and so the next look, or the next commit, sees to it.
func TestIntoQueuedReadyLate(t *testing.T) {
	for _, committed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake(always("update", 3, image.Stalled, before)...))
			q, spec := queued(h)
			d := h.draft(spec, pattern(500))
			if _, err := h.Commit(ctxb, d); !image.Is(err, image.Stalled) {
				t.Fatal(err)
			}
			if _, err := h.Withdraw(ctxb, d); !errors.Is(err, ErrMayCome) {
				t.Errorf("a look at once: %v", err)
			}
			_, err := h.service.Update(ctxb, q.ID, []image.Change{
				{Field: "os_hidden", Value: true}, {Field: image.PropertyDraft, Property: true, Value: d.ID()}})
			check(t, err)
			if committed {
				_, err = h.Commit(ctxb, d)
			} else {
				_, err = h.Withdraw(ctxb, d)
			}
			check(t, err)
			if got := h.only(); got.ID != q.ID || got.Hidden || got.Properties[image.PropertyDraft] != "" || committed != (got.Status == image.StatusActive) {
				t.Errorf("committed %v: record %+v", committed, got)
			}
			time.Sleep(creationSettles)
			if stays, err := h.Withdraw(ctxb, d); stays != "" && !committed || err != nil {
				t.Errorf("a last look: %q, %v", stays, err)
			}
		})
	}
}

// TestIntoQueuedPutBackFails: the record stays hidden, but is not forgotten.
func TestIntoQueuedPutBackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := faults(one(nth("upload", 1, image.Rejected, before)), []fault{
			nth("update", 2, image.Unavailable, before), nth("update", 3, image.Unavailable, before), nth("update", 4, image.Unavailable, before)})
		h := newHouse(t, newFake(f...))
		q, spec := queued(h)
		d := h.draft(spec, pattern(500))
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) {
			t.Fatal(err)
		}
		if r := d.Record(); r.Image != q.ID || r.Into != q.ID || !h.only().Hidden {
			t.Errorf("draft %+v", r)
		}
		img, err := h.Commit(ctxb, d)
		if err != nil || img.ID != q.ID || h.only().Hidden || h.only().Properties[image.PropertyDraft] != "" {
			t.Errorf("the next commit: %v %+v", err, h.service.all())
		}
	})
}

// TestIntoQueuedSpoilt: a record that cannot be filled any more is replaced.
func TestIntoQueuedSpoilt(t *testing.T) {
	for _, what := range []effect{stuck, damaged} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake(nth("upload", 1, image.Stalled, what)))
			q, spec := queued(h)
			check(t, h.service.AddMember(ctxb, q.ID, "friend"))
			img, err := h.Commit(ctxb, h.draft(spec, pattern(500)))
			check(t, err)
			if members := h.service.members[img.ID]; len(members) != 1 || members[0].Project != "friend" {
				t.Errorf("it is shared with %v", members)
			}
			if got := h.only(); got.ID != img.ID || got.ID == q.ID || got.Properties["k"] != "v" || got.Name != "q" || got.Hidden || !bytes.Equal(h.stored(got.ID), pattern(500)) {
				t.Errorf("record %+v", got)
			}
			if !slices.Contains(h.names.gone, q.ID) { // it showed until then
				t.Errorf("gone is %v", h.names.gone)
			}
		})
	}
}

// A spoilt record that could not be removed goes before the next commit makes another one: a
// draft whose new one fails, and is discarded then, leaves nothing.
func TestIntoQueuedSpoiltAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake(faults(always("delete", 3, image.Unavailable, before),
			[]fault{nth("upload", 1, image.Rejected, stuck), nth("upload", 2, image.Rejected, before)})...))
		q, spec := queued(h)
		check(t, h.service.AddMember(ctxb, q.ID, "friend"))
		d := h.draft(spec, pattern(500))
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) || d.Record().Image != q.ID || !h.only().Hidden {
			t.Fatalf("%v, draft %+v", err, d.Record())
		}
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) {
			t.Fatal(err)
		}
		if stays, err := h.Withdraw(ctxb, d); stays != "" || err != nil || len(h.service.all()) != 0 {
			t.Errorf("%q, %v: %+v", stays, err, h.service.all())
		}
		img, err := h.Commit(ctxb, d)
		check(t, err)
		if got := h.only(); got.ID != img.ID || got.Name != "q" || got.Properties["k"] != "v" || got.Hidden {
			t.Errorf("record %+v", got)
		}
		if members := h.service.members[img.ID]; len(members) != 1 || members[0].Project != "friend" {
			t.Errorf("it is shared with %v", members)
		}
	})
}

// What takes the place of a spoilt record is shared as that was also where it is not made before
// the next commit, or the next daemon: those who are known by then are those whom the journal has.
func TestIntoQueuedSpoiltAndSharedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake(nth("upload", 1, image.Stalled, damaged), nth("create", 1, image.Forbidden, before)))
		q, spec := queued(h)
		check(t, h.service.AddMember(ctxb, q.ID, "friend"))
		d := h.draft(spec, pattern(500))
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Forbidden) || len(h.service.all()) != 0 {
			t.Fatalf("%v: %+v", err, h.service.all())
		}
		check(t, d.Close())
		d, err := h.store.Reopen(d.ID(), staging.ReopenSpec{})
		check(t, err)
		img, err := h.Recover(ctxb, d)
		check(t, err)
		if members := h.service.members[img.ID]; len(members) != 1 || members[0].Project != "friend" {
			t.Errorf("it is shared with %v", members)
		}
		// What follows an image that others have deleted is not.
		check(t, h.service.Delete(ctxb, img.ID))
		h.write(d, []byte("more"), 0)
		img, err = h.Commit(ctxb, d)
		check(t, err)
		if members := h.service.members[img.ID]; len(members) != 0 {
			t.Errorf("later it is shared with %v", members)
		}
		check(t, d.Discard())
	})
}

// TestIntoQueuedFilledAndKept: the upload was done, a later step failed, and so
// did putting the record back. The next commit knows it for its own
// and goes on with it.
func TestIntoQueuedFilledAndKept(t *testing.T) {
	for _, unhide := range []effect{before, after} {
		h := newHouse(t, newFake(nth("update", 2, image.Forbidden, unhide), nth("get", 3, image.Forbidden, before), nth("get", 4, image.Forbidden, before)))
		q, spec := queued(h)
		d := h.draft(spec, pattern(500))
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Forbidden) {
			t.Fatal(err)
		}
		if got := h.only(); got.ID != q.ID || got.Status != image.StatusActive || got.Hidden != (unhide == before) {
			t.Fatalf("record %+v", got)
		}
		img, err := h.Commit(ctxb, d)
		if err != nil || h.only().ID != img.ID || img.ID != q.ID || img.Hidden || img.Properties["k"] != "v" || h.service.count("upload") != 1 {
			t.Errorf("%v: %+v", err, h.service.all())
		}
	}
}

func TestIntoNoLongerQueued(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	d := h.draft(spec, pattern(500))
	h.service.put(q, []byte("somebody else's"))
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if img.ID == q.ID || string(h.stored(q.ID)) != "somebody else's" || !bytes.Equal(h.stored(img.ID), pattern(500)) || len(h.service.all()) != 2 {
		t.Errorf("%+v", h.service.all())
	}
	if img.Properties["k"] != "v" {
		t.Errorf("record %+v", img)
	}
}

func TestIntoGone(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	d := h.draft(spec, pattern(500))
	check(t, h.service.Delete(ctxb, q.ID))
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if got := h.only(); got.ID != img.ID || got.ID == q.ID || got.Name != "q" {
		t.Errorf("record %+v", got)
	}
	if !slices.Contains(h.names.gone, q.ID) { // the directory need not know it
		t.Errorf("gone is %v", h.names.gone)
	}
}

// TestReplacedGone: somebody has deleted what is replaced. The directory may show it yet.
// Where others delete the record between the last look at it and the change that makes it
// ready, a new one takes over its metadata: the close is no failure.
func TestIntoGoneAsItIsMadeReady(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	h.service.hook = func(c call) {
		if c.op == "update" && !c.done {
			h.service.hook = nil
			check(t, h.service.Delete(ctxb, q.ID))
		}
	}
	img, err := h.Commit(ctxb, h.draft(spec, pattern(500)))
	if err != nil || img.ID == q.ID {
		t.Fatalf("%+v, %v", img, err)
	}
	if got := h.only(); got.ID != img.ID || got.Status != image.StatusActive || got.Name != "q" || props(got)["k"] != "v" {
		t.Errorf("record %+v", got)
	}
}

func TestReplacedGone(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "x"}, pattern(10))
	d := h.draft(over(old), pattern(500))
	check(t, h.service.Delete(ctxb, old.ID))
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if got := h.only(); got.ID != img.ID {
		t.Errorf("record %+v", got)
	}
	if !slices.Contains(h.names.gone, old.ID) && h.names.told[0].retired != old.ID {
		t.Errorf("gone is %v, told %+v", h.names.gone, h.names.told)
	}
}

func TestIntoQueuedNothingWritten(t *testing.T) {
	h := newHouse(t, newFake())
	q, spec := queued(h)
	d := h.draft(spec, nil)
	_, err := h.CommitEmpty(ctxb, d)
	check(t, err)
	h.write(d, []byte("x"), 0)
	check(t, d.Truncate(ctxb, 0))
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if diff := cmp.Diff(q, h.only()); diff != "" || img.ID != q.ID || d.Dirty() {
		t.Errorf("%s%s", diff, img.ID)
	}
}

// A record that this commit has put back is not called left, though an earlier one had
// left it.
func TestIntoPutBackAtLast(t *testing.T) {
	h := newHouse(t, newFake(nth("upload", 1, image.Rejected, before)))
	q := h.service.put(image.Image{Name: "q", Hidden: true, Properties: mine()}, nil)
	d := h.crashed(staging.Spec{Name: "q", Into: q.ID}, pattern(500), staging.StateCreated, q)
	if _, err := h.Recover(ctxb, d); !image.Is(err, image.Rejected) {
		t.Fatal(err)
	}
	if got := h.only(); got.Hidden || got.Properties[image.PropertyDraft] != "" || d.Record().Image != "" {
		t.Errorf("%+v, draft %+v", got, d.Record())
	}
}

// What has happened while a commit waited for its place is seen before it changes
// anything, also where the service would let it.
func TestIntoOvertakenWhileWaiting(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			q, spec := queued(h)
			d := h.draft(spec, pattern(500))
			check(t, h.uploads.Acquire(ctxb, 2))
			go func() {
				time.Sleep(time.Hour)
				if gone {
					check(t, h.service.Delete(ctxb, q.ID))
				} else {
					h.service.fill(q.ID, "somebody else's")
				}
				h.uploads.Release(2)
			}()
			img, err := h.Commit(ctxb, d)
			check(t, err)
			if img.ID == q.ID || img.Properties["k"] != "v" || h.service.count("update") != 1 {
				t.Errorf("%+v, requests %v", h.service.all(), h.service.calls)
			}
			if !gone {
				h.theirs(q, img.ID)
			}
		})
	}
}
