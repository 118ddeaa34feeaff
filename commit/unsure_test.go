package commit

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// TestUnsure: the service stops to answer while the old image is retired. The
// new one stays, and the next commit goes on with it either way.
func TestUnsure(t *testing.T) {
	for _, retired := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			old := f.put(image.Image{Name: "x"}, []byte("old"))
			d := h.draft(over(old), pattern(500))
			away := false
			f.hook = func(c call) {
				if c.op != "delete" {
					return
				}
				if retired && !away {
					f.mu.Lock()
					delete(f.images, c.id)
					f.mu.Unlock()
				}
				away = true
			}
			f.deny = func(c call) error {
				if away && c.id == old.ID { // the new one could be removed: that must not be tried
					return f.err(c.op, c.id, image.Unreachable)
				}
				return nil
			}
			_, err := h.Commit(ctxb, d)
			r := d.Record()
			if !image.Is(err, image.Unreachable) || r.Image == "" || r.State != staging.StateFailed {
				t.Fatalf("%v: %+v", err, r)
			}
			if len(h.stored(r.Image)) != 500 {
				t.Error("the new image was removed")
			}
			if told := h.names.doubted; len(told) != 1 || told[0] != "x" {
				t.Errorf("the directory, which has the old one, was told to ask for %q", told)
			}
			f.hook, f.deny = nil, nil
			before := f.count("delete")
			img, err := h.Commit(ctxb, d)
			if err != nil || h.only().ID != img.ID || !bytes.Equal(h.stored(img.ID), pattern(500)) {
				t.Errorf("the next commit: %v %+v", err, f.all())
			}
			if n := f.count("upload"); n != 1 {
				t.Errorf("%d uploads", n)
			}
			if n := f.count("delete") - before; n != map[bool]int{true: 0, false: 1}[retired] {
				t.Errorf("%d deletes", n)
			}
		})
	}
}

// An image edited in place, and the answer to its deletion lost: its bytes are not to be
// had any more, and those of the new one, which was published, need no comparison. Once
// the draft was written to again they do.
func TestUnsureOfAnEdit(t *testing.T) {
	for _, written := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			old := f.put(image.Image{Name: "x", DiskFormat: "raw", ContainerFormat: "bare"}, pattern(500))
			d, err := h.store.Create(h.edit(old))
			check(t, err)
			h.write(d, []byte("new"), 7)
			want := bytesOf(t, d)
			away := false
			f.hook = func(c call) {
				if c.op == "delete" && !away {
					away = true
					f.mu.Lock()
					delete(f.images, c.id)
					f.mu.Unlock()
				}
			}
			f.deny = func(c call) error {
				if away && c.id == old.ID {
					return f.err(c.op, c.id, image.Unreachable)
				}
				return nil
			}
			if _, err := h.Commit(ctxb, d); !image.Is(err, image.Unreachable) {
				t.Fatal(err)
			}
			check(t, d.Keep("close has failed"))
			f.hook, f.deny = nil, nil
			made := h.only()
			d, err = h.store.Reopen(d.ID(), staging.ReopenSpec{})
			check(t, err)
			defer func() { check(t, d.Close()) }()
			if written {
				h.write(d, []byte("again"), 7)
			}
			img, err := h.Recover(ctxb, d)
			if (err == nil) == written || h.only().ID != made.ID || !bytes.Equal(h.stored(made.ID), want) || f.count("upload") != 1 {
				t.Errorf("written %v: %v, %+v", written, err, f.all())
			}
			if err == nil && (img.ID != made.ID || d.Record().State != staging.StateCommitted) {
				t.Errorf("image %s, draft %+v", img.ID, d.Record())
			}
		})
	}
}

// TestLeftoverIsNotForgotten: what one commit left, and the next could not even
// look at, is still named by the journal.
func TestLeftoverIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(faults(one(nth("upload", 1, image.Rejected, before)), always("delete", 3, image.Unavailable, before),
			one(nth("get", 1, image.Forbidden, before)))...)
		h := newHouse(t, f)
		d := h.draft(staging.Spec{Name: "x"}, pattern(100))
		_, err := h.Commit(ctxb, d)
		left := d.Record().Image
		if !image.Is(err, image.Rejected) || left == "" {
			t.Fatalf("%v: %+v", err, d.Record())
		}
		if _, err := h.Commit(ctxb, d); !image.Is(err, image.Forbidden) || d.Record().Image != left {
			t.Fatalf("%v: %+v", err, d.Record())
		}
		h.write(d, []byte("new"), 0)
		img, err := h.Commit(ctxb, d)
		if err != nil || h.only().ID != img.ID || img.ID == left {
			t.Errorf("%v: %+v", err, f.all())
		}
	})
}

// An entry is removed before its commit knows what an earlier one has left: the journal
// goes on naming that, for whoever removes it.
func TestRemovedBeforeItIsSettled(t *testing.T) {
	h := newHouse(t, newFake())
	img := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, nil)
	d := h.crashed(staging.Spec{Name: "x", Entry: "x"}, pattern(900), staging.StateCreated, img)
	ctx, cancel := context.WithCancelCause(ctxb)
	h.service.hook = func(c call) {
		if c.op == "get" && !c.done {
			check(t, d.Unlink())
			cancel(image.ErrRemoval)
		}
	}
	_, err := h.Behind(ctx, d, anybody)
	h.service.hook = nil
	if r := d.Record(); err != nil || !r.Unlinked || r.Image != img.ID || r.State != staging.StateCreated {
		t.Fatalf("%v, draft %+v", err, r)
	}
	if _, err := h.Recover(ctxb, d); err != nil || len(h.service.all()) != 0 {
		t.Errorf("%v: %+v", err, h.service.all())
	}
}
