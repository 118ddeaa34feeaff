package commit

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// anybody lets every commit publish.
func anybody(context.Context) error { return nil }

// accepted is a draft whose close was answered.
func (h *house) accepted(spec staging.Spec, content []byte) *staging.Draft {
	h.t.Helper()
	d := h.draft(spec, content)
	check(h.t, d.Accept(ctxb, image.Attributes{}))
	return d
}

// Until it is its turn, a commit behind shows nothing; then it takes name and
// attributes as the draft has them by then.
func TestBehindTakesItsTurn(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.accepted(staging.Spec{Name: "x", Entry: "x"}, pattern(5000))
	mode := uint32(0o600)
	img, err := h.Behind(ctxb, d, func(context.Context) error {
		if at := h.only(); !at.Hidden || at.Size != 5000 {
			t.Errorf("before its turn the service has %+v", at)
		}
		return errors.Join(d.Rename("y", "y", nil), d.Update(func(r *staging.Record) { r.Attributes.Mode = &mode }))
	})
	check(t, err)
	if got := h.only(); got.ID != img.ID || got.Hidden || got.Name != "y" || got.Attributes().Mode == nil || *got.Attributes().Mode != mode {
		t.Errorf("the image is %+v", got)
	}
	if r := d.Record(); r.State != staging.StateCommitted || r.Owed() {
		t.Errorf("draft %+v", r)
	}
}

// A turn that is refused leaves nothing at the service, and the commit owed.
func TestBehindWithoutTurn(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.accepted(staging.Spec{Name: "x", Entry: "x"}, pattern(5000))
	_, err := h.Behind(ctxb, d, func(context.Context) error { return &image.Error{Op: "turn", Kind: image.Interrupted} })
	if !image.Is(err, image.Interrupted) || len(h.service.all()) != 0 || !d.Record().Owed() {
		t.Errorf("%v: %+v, draft %+v", err, h.service.all(), d.Record())
	}
}

// A failure leaves the commit owed, costs no line in the log, and the next try
// succeeds; an empty file is committed, too.
func TestBehindFails(t *testing.T) {
	for what, content := range map[string][]byte{"bytes": pattern(5000), "empty": nil} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				away := true
				f := newFake()
				f.deny = func(c call) error {
					if away {
						return &image.Error{Op: c.op, Kind: image.Unreachable}
					}
					return nil
				}
				h := newHouse(t, f)
				d := h.accepted(staging.Spec{Name: "x", Entry: "x"}, content)
				if _, err := h.Behind(ctxb, d, anybody); !image.Is(err, image.Unreachable) || !d.Record().Owed() {
					t.Errorf("%v, draft %+v", err, d.Record())
				}
				if log := h.log.String(); log != "" {
					t.Errorf("log: %s", log)
				}
				away = false
				img, err := h.Behind(ctxb, d, anybody)
				check(t, err)
				if got := h.only(); got.ID != img.ID || got.Hidden || got.Size != int64(len(content)) {
					t.Errorf("the image is %+v", got)
				}
			})
		})
	}
}

// Whoever writes to a draft that is being committed behind need not wait until what
// it made has been taken back, and its bytes are its own again.
func TestBehindLetsWritersGo(t *testing.T) {
	for _, when := range []string{"while it uploads", "when its turn comes"} {
		t.Run(when, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			d := h.accepted(staging.Spec{Name: "x", Entry: "x"}, pattern(5000))
			ctx, cancel := context.WithCancel(ctxb)
			defer cancel()
			turn := anybody
			if when == "while it uploads" {
				f.slow = func(int64) error { cancel(); return nil }
			} else {
				turn = func(ctx context.Context) error { cancel(); return ctx.Err() }
			}
			wrote := false
			f.hook = func(c call) {
				if c.op == "delete" && !c.done && !wrote {
					wrote = true
					ctx, cancel := context.WithTimeout(ctxb, 10*time.Second)
					defer cancel()
					if _, err := d.WriteAt(ctx, []byte("new"), 0); err != nil {
						t.Errorf("a writer waits: %v", err)
					}
				}
			}
			if _, err := h.Behind(ctx, d, turn); !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
				t.Errorf("%v: %+v", err, f.all())
			}
			if r := d.Record(); !wrote || r.State != staging.StateOpen || r.Owed() {
				t.Errorf("wrote %v, draft %+v", wrote, r)
			}
		})
	}
}

// Where the daemon ends in the middle of a commit, the journal says that it is due.
func TestShutdown(t *testing.T) {
	f := newFake()
	h := newHouse(t, f)
	d := h.draft(staging.Spec{Name: "x", Entry: "x"}, pattern(5000))
	ctx, cancel := context.WithCancelCause(ctxb)
	f.slow = func(int64) error { cancel(image.ErrShutdown); return nil }
	if _, err := h.Commit(ctx, d); !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
		t.Errorf("%v: %+v", err, f.all())
	}
	if r := d.Record(); r.State != staging.StateCommitting || !r.Owed() || r.Image != "" {
		t.Errorf("draft %+v", r)
	}
	if log := h.log.String(); strings.Contains(log, "ERROR") || !strings.Contains(log, "the next mount goes on") {
		t.Errorf("log: %s", log)
	}
}

// While the service is away, a try costs one request each for the image and for
// taking it back: whoever calls Behind tries again.
func TestBehindIsBrief(t *testing.T) {
	f := newFake()
	f.deny = func(c call) error { return &image.Error{Op: c.op, Kind: image.Unreachable} }
	asked := 0
	f.hook = func(c call) {
		if !c.done {
			asked++
		}
	}
	h := newHouse(t, f)
	d := h.accepted(staging.Spec{Name: "x", Entry: "x"}, pattern(5000))
	if _, err := h.Behind(ctxb, d, anybody); !image.Is(err, image.Unreachable) {
		t.Error(err)
	}
	if asked > 3 { // create, look whose it is, delete
		t.Errorf("%d requests", asked)
	}
}

// A write to a draft whose image was published, while it is not known what became of
// the one that it replaces, forgets neither: the next commit leaves one image.
func TestBehindUnsureThenWritten(t *testing.T) {
	for _, retired := range []bool{false, true} {
		f := newFake()
		h := newHouse(t, f)
		old := f.put(image.Image{Name: "x"}, []byte("old"))
		d := h.accepted(over(old), pattern(500))
		away := false
		f.hook = func(c call) { away = away || c.op == "delete" && (!retired || c.done) }
		f.deny = func(c call) error {
			if away && c.id == old.ID {
				return f.err(c.op, c.id, image.Forbidden)
			}
			return nil
		}
		if retired {
			f.faults = one(nth("delete", 1, image.Forbidden, after))
		}
		if _, err := h.Behind(ctxb, d, anybody); err == nil || d.Record().State != staging.StateVisible {
			t.Fatalf("%v, draft %+v", err, d.Record())
		}
		f.hook, f.deny = nil, nil
		h.write(d, []byte("new"), 0)
		want := bytesOf(t, d)
		check(t, d.Accept(ctxb, image.Attributes{}))
		img, err := h.Behind(ctxb, d, anybody)
		check(t, err)
		if got := h.only(); got.ID != img.ID || got.Hidden || !bytes.Equal(h.stored(img.ID), want) {
			t.Errorf("retired %v: %+v", retired, got)
		}
	}
}

// However much is committed behind, and gone on with after a crash, a close that
// somebody waits for has a place to upload.
func TestBehindLeavesAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		h := newHouse(t, f)
		gate := make(chan struct{})
		f.slow = func(got int64) error {
			if got == 3000 {
				<-gate
			}
			return nil
		}
		var behind sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			d := h.accepted(staging.Spec{Name: name}, pattern(5000))
			behind.Go(func() {
				if _, err := h.Behind(ctxb, d, anybody); err != nil {
					t.Error(err)
				}
			})
			left := h.accepted(staging.Spec{Name: name + " of an earlier run"}, pattern(5000))
			behind.Go(func() {
				if _, err := h.Recover(ctxb, left); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "waited for"}, pattern(2000))); err != nil || len(f.all()) != 2 {
			t.Errorf("%v, %d images", err, len(f.all()))
		}
		close(gate)
		behind.Wait()
		if len(f.all()) != 5 {
			t.Errorf("%d images", len(f.all()))
		}
	})
}

// What was published already stays where its commit, taken up again, has to give way:
// the name is not without an image, and the next try begins with it.
func TestBehindGivesWayAfterPublishing(t *testing.T) {
	for _, written := range []bool{false, true} {
		h := newHouse(t, newFake())
		img := h.service.put(image.Image{Name: "x"}, pattern(900))
		d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateVisible, img)
		_, err := h.Behind(ctxb, d, func(context.Context) error { return &image.Error{Op: "turn", Kind: image.Interrupted} })
		if r := d.Record(); !image.Is(err, image.Interrupted) || h.only().ID != img.ID || !r.Owed() || r.Image != img.ID {
			t.Fatalf("%v: %+v, draft %+v", err, h.service.all(), d.Record())
		}
		if written {
			h.write(d, []byte("new"), 0)
			check(t, d.Accept(ctxb, image.Attributes{}))
		}
		got, err := h.Behind(ctxb, d, anybody)
		if err != nil || h.only().ID != got.ID || (got.ID == img.ID) == written || !bytes.Equal(h.stored(got.ID), bytesOf(t, d)) {
			t.Errorf("written %v: %v, %+v", written, err, h.service.all())
		}
	}
}

// An image that somebody has deleted does not come back because the draft that it was
// made of is still there.
func TestBehindDeletedSince(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.accepted(staging.Spec{Name: "x"}, pattern(900))
	check(t, d.Update(func(r *staging.Record) {
		r.State, r.Image = staging.StateVisible, "5a1f9d3e-0000-4000-8000-000000000000"
	}))
	for range 2 {
		if _, err := h.Behind(ctxb, d, anybody); !image.Is(err, image.Stale) || !errors.Is(err, image.ErrDeletedSince) || d.Record().Owed() || len(h.service.all()) != 0 {
			t.Errorf("%v: %+v, draft %+v", err, h.service.all(), d.Record())
		}
	}
	h.write(d, []byte("new"), 0)
	check(t, d.Accept(ctxb, image.Attributes{}))
	if _, err := h.Behind(ctxb, d, anybody); err != nil || len(h.service.all()) != 1 {
		t.Errorf("written again: %v, %+v", err, h.service.all())
	}
}

// What an earlier run was killed in the middle of, its close not answered, stays owed
// too when a try behind fails: the next run goes on with it.
func TestBehindOfWhatWasNotAccepted(t *testing.T) {
	for _, kind := range []image.Kind{image.Unreachable, image.Quota} {
		f := newFake(fault{"create", 1, kind, before})
		h := newHouse(t, f)
		d := h.crashed(staging.Spec{Name: "x"}, pattern(900), staging.StateCommitting, image.Image{})
		if _, err := h.Behind(ctxb, d, anybody); !image.Is(err, kind) {
			t.Error(err)
		}
		if r := d.Record(); !r.Owed() || r.Accepted {
			t.Errorf("after %s the journal says %+v", kind, r)
		}
	}
}
