package commit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

func TestEmptyFile(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.draft(staging.Spec{Name: "empty", Entry: "empty"}, nil)
	img, err := h.CommitEmpty(ctxb, d)
	check(t, err)
	got := h.only()
	if got.ID != d.ID() || got.Status != image.StatusQueued || got.Hidden || got.Name != "empty" || got.Properties[image.PropertyDraft] != "" || got.Properties["from"] != "mount" {
		t.Errorf("record %+v", got)
	}
	if diff := cmp.Diff(img, got); diff != "" {
		t.Error(diff)
	}
	if len(h.service.calls) != 1 {
		t.Errorf("requests: %v", h.service.calls)
	}
	again, err := h.CommitEmpty(ctxb, d)
	if err != nil || again.ID != "" || len(h.service.calls) != 1 {
		t.Errorf("a second time: %v, %v, %v", again, err, h.service.calls)
	}
	h.write(d, pattern(100), 0) // the handle lived on
	next, err := h.Commit(ctxb, d)
	check(t, err)
	if h.only().ID != next.ID || next.Status != image.StatusActive {
		t.Errorf("after a write: %+v", h.service.all())
	}
}

func TestEmptyFileAnswerLost(t *testing.T) {
	h := newHouse(t, newFake(nth("create", 1, image.Stalled, after)))
	d := h.draft(staging.Spec{Name: "empty"}, nil)
	img, err := h.CommitEmpty(ctxb, d)
	if err != nil || h.only().ID != img.ID || h.service.count("create") != 1 {
		t.Errorf("%v, %+v", err, h.service.all())
	}
}

// TestEmptied covers the two ways to make a file empty: truncated at open and
// nothing written, and truncate(2).
func TestEmptied(t *testing.T) {
	for _, edited := range []bool{false, true} {
		h := newHouse(t, newFake())
		old := h.service.put(rich(), pattern(3000))
		var img image.Image
		var err error
		if edited {
			d := h.draft(h.edit(old), nil)
			check(t, d.Truncate(ctxb, 0))
			img, err = h.Commit(ctxb, d)
		} else {
			img, err = h.CommitEmpty(ctxb, h.draft(over(old), nil))
		}
		check(t, err)
		got := h.only()
		if got.ID != img.ID || got.ID == old.ID || got.Status != image.StatusQueued || got.Name != old.Name || got.Hidden || got.Properties[image.PropertyDraft] != "" || got.Properties["hw_disk_bus"] != "scsi" {
			t.Errorf("record %+v", got)
		}
		if h.service.count("upload") != 0 {
			t.Error("nothing was to be uploaded")
		}
		if got.DiskFormat != "" {
			t.Errorf("disk_format %q, before there is content", got.DiskFormat)
		}
	}
}

// What an earlier commit has made ready, and could not put back, shows again where the
// file ends empty: with the name, the attributes and the settings that it has by then, and
// with the id, also for what is written next.
func TestIntoLeftReadyStaysEmpty(t *testing.T) {
	mode, hot := uint32(0o600), "yes"
	ways := map[string]func(*house, *staging.Draft) (image.Image, error){
		"closed": func(h *house, d *staging.Draft) (image.Image, error) {
			h.write(d, []byte("x"), 0)
			check(t, d.Truncate(ctxb, 0))
			return h.Commit(ctxb, d)
		},
		"behind": func(h *house, d *staging.Draft) (image.Image, error) {
			check(t, d.Accept(ctxb, d.Record().Attributes))
			return h.Behind(ctxb, d, anybody)
		},
		"not written since": func(h *house, d *staging.Draft) (image.Image, error) { return h.CommitEmpty(ctxb, d) },
		"told to":           func(h *house, d *staging.Draft) (image.Image, error) { return h.Recover(ctxb, d) },
	}
	for way, commit := range ways {
		t.Run(way, func(t *testing.T) {
			h := newHouse(t, newFake())
			q := h.service.put(image.Image{Name: "q", Hidden: true, Properties: mine()}, nil)
			d := h.crashed(staging.Spec{Name: "q", Entry: "q", Into: q.ID}, nil, staging.StateFailed, q)
			check(t, d.Update(func(r *staging.Record) {
				r.Attributes.Mode = &mode
				r.Settings = r.Settings.With(image.Change{Field: "hot", Property: true, Value: hot})
			}))
			img, err := commit(h, d)
			check(t, err)
			got := h.only()
			if got.ID != q.ID || got.Hidden || got.Properties[image.PropertyDraft] != "" || got.Properties["hot"] != hot ||
				got.Attributes().Mode == nil || *got.Attributes().Mode != mode {
				t.Errorf("record %+v", got)
			}
			if diff := cmp.Diff(got, img); diff != "" {
				t.Error(diff)
			}
			if r := d.Record(); r.State != staging.StateCommitted || r.Image != "" {
				t.Errorf("draft %+v", r)
			}
			h.write(d, pattern(500), 0)
			if img, err = h.Commit(ctxb, d); err != nil || img.ID != q.ID || h.only().Status != image.StatusActive {
				t.Errorf("what is written next: %v %+v", err, h.service.all())
			}
		})
	}
}

// Where that fails, the record is put back, or the journal goes on naming it.
func TestIntoLeftReadyStaysEmptyFails(t *testing.T) {
	for _, put := range []bool{true, false} {
		f := newFake(nth("update", 1, image.Forbidden, before))
		if !put {
			f.faults = append(f.faults, nth("update", 2, image.Forbidden, before))
		}
		h := newHouse(t, f)
		q := f.put(image.Image{Name: "q", Hidden: true, Properties: mine()}, nil)
		d := h.crashed(staging.Spec{Name: "q", Entry: "q", Into: q.ID}, nil, staging.StateCommitting, q)
		if _, err := h.Recover(ctxb, d); !image.Is(err, image.Forbidden) {
			t.Fatal(err)
		}
		if got, r := h.only(), d.Record(); got.Hidden == put || (r.Image == "") != put || r.State != staging.StateFailed {
			t.Errorf("put back %v: %+v, draft %+v", put, got, r)
		}
	}
}

// A record that another draft's commit has hidden and marked is half made: a file that ends
// empty over it changes nothing of that.
func TestIntoOfAnotherCommitStaysEmpty(t *testing.T) {
	h := newHouse(t, newFake())
	q := h.service.put(image.Image{Name: "q", Hidden: true, Properties: map[string]string{image.PropertyDraft: "another"}}, nil)
	d := h.draft(staging.Spec{Name: "q", Entry: "q", Into: q.ID}, []byte("x"))
	check(t, d.Truncate(ctxb, 0))
	_, err := h.Commit(ctxb, d)
	if r := d.Record(); err != nil || r.State != staging.StateCommitted {
		t.Errorf("%v, draft %+v", err, r)
	}
	if diff := cmp.Diff(q, h.only()); diff != "" || h.service.count("update") != 0 {
		t.Error(diff)
	}
}
