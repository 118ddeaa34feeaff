package commit

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// TestInterrupted cancels the caller's context at every request. Before the
// image is published that is EINTR and leaves nothing; after that it is too late.
func TestInterrupted(t *testing.T) {
	steps := []call{
		{"get", "", false}, {"members", "", false}, {"create", "", false}, {"create", "", true}, {"addmember", "", false},
		{"upload", "", false}, {"upload", "", true}, {"update", "", false}, {"update", "", true}, {"delete", "", false}, {"delete", "", true},
	}
	for _, step := range steps {
		t.Run(step.op, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			old := f.put(image.Image{Name: "x"}, []byte("old"))
			f.members[old.ID] = []image.Member{{Project: "p"}}
			d := h.draft(over(old), pattern(5000))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			f.hook = func(c call) {
				if c.op == step.op && c.done == step.done {
					cancel()
				}
			}
			img, err := h.Commit(ctx, d)
			if step.op == "update" || step.op == "delete" {
				if err != nil || h.only().ID != img.ID {
					t.Errorf("%v: %+v", err, f.all())
				}
				return
			}
			if !image.Is(err, image.Interrupted) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(old, h.only()); diff != "" {
				t.Error(diff)
			}
			// A creation that was given up before it was answered may come later.
			late := step.op == "create" && !step.done
			if r := d.Record(); r.State != staging.StateFailed || (r.Image != "") != late || !d.Dirty() {
				t.Errorf("draft %+v", r)
			}
		})
	}
}

// TestInterruptedUpload ends an upload in the middle, and a wait between two.
func TestInterruptedUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nth("upload", 1, image.Unavailable, cut))
		h := newHouse(t, f)
		d := h.draft(staging.Spec{Name: "x"}, pattern(5000))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		f.slow = func(got int64) error {
			if got >= 3000 {
				cancel()
			}
			return nil
		}
		if _, err := h.Commit(ctx, d); !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
			t.Errorf("%v: %+v", err, f.all())
		}
		ctx, cancel = context.WithCancel(context.Background())
		defer cancel()
		f.slow = nil
		f.faults = []fault{nth("upload", f.count("upload")+1, image.Unavailable, cut)}
		done := make(chan error)
		go func() {
			_, err := h.Commit(ctx, d)
			done <- err
		}()
		synctest.Wait() // it waits for the second try
		if a := h.Active(); len(a) != 1 || a[0].Phase != Waiting {
			t.Errorf("active %+v", a)
		}
		cancel()
		if err := <-done; !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
			t.Errorf("%v: %+v", err, f.all())
		}
	})
}

// TestUploadsAreLimited: two at once, the third waits and can be interrupted.
func TestUploadsAreLimited(t *testing.T) {
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
		var all sync.WaitGroup
		for i := range 4 {
			d := h.draft(staging.Spec{Name: string(rune('a' + i))}, pattern(5000))
			all.Go(func() {
				if _, err := h.Commit(ctxb, d); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		last := h.draft(staging.Spec{Name: "z"}, pattern(5000))
		failed := make(chan error)
		go func() {
			_, err := h.Commit(ctx, last)
			failed <- err
		}()
		synctest.Wait()
		phases := map[Phase]int{}
		for _, p := range h.Active() {
			phases[p.Phase]++
			if p.Size != 5000 || p.Draft == "" || p.Phase == Uploading && (p.Sent != 3000 || p.Image == "") {
				t.Errorf("progress %+v", p)
			}
		}
		if !last.Record().Owed() {
			t.Error("a close that waits for its turn counts as a file that is open")
		}
		if phases[Uploading] != 2 || phases[Waiting] != 3 {
			t.Errorf("phases %v", phases)
		}
		cancel()
		if err := <-failed; !image.Is(err, image.Interrupted) {
			t.Error(err)
		}
		close(gate)
		all.Wait()
		if f.most != 2 || len(f.all()) != 4 {
			t.Errorf("%d at once, %d images", f.most, len(f.all()))
		}
	})
}

func TestUnlinkedMeanwhile(t *testing.T) {
	for _, step := range []call{{"create", "", false}, {"upload", "", true}, {"update", "", true}} {
		t.Run(step.op, func(t *testing.T) {
			h := newHouse(t, newFake())
			d := h.draft(staging.Spec{Name: "x"}, pattern(100))
			h.service.hook = func(c call) {
				if c.op == step.op && c.done == step.done && !d.Unlinked() {
					check(t, d.Unlink())
				}
			}
			img, err := h.Commit(ctxb, d)
			if err != nil || img.ID != "" || len(h.service.all()) != 0 || len(h.names.told) != 0 {
				t.Errorf("%v: %+v, told %+v", err, h.service.all(), h.names.told)
			}
			if r := d.Record(); r.Image != "" {
				t.Errorf("draft %+v", r)
			}
		})
	}
	t.Run("while the directory is told", func(t *testing.T) {
		h := newHouse(t, newFake())
		d := h.draft(staging.Spec{Name: "x"}, pattern(100))
		h.names.hook = func() { check(t, d.Unlink()) }
		img, err := h.Commit(ctxb, d)
		if err != nil || img.ID != "" || len(h.service.all()) != 0 {
			t.Errorf("%v: %+v", err, h.service.all())
		}
		if len(h.names.gone) != 1 || h.names.gone[0] != h.names.told[0].img.ID { // it showed
			t.Errorf("of %+v gone is %v", h.names.told, h.names.gone)
		}
	})
	t.Run("before", func(t *testing.T) {
		h := newHouse(t, newFake())
		d := h.draft(staging.Spec{Name: "x"}, pattern(100))
		check(t, d.Unlink())
		img, err := h.Commit(ctxb, d)
		if err != nil || img.ID != "" || len(h.service.calls) != 0 {
			t.Errorf("%v: %v", err, h.service.calls)
		}
		img, err = h.CommitEmpty(ctxb, d)
		if err != nil || img.ID != "" || len(h.service.calls) != 0 {
			t.Errorf("%v: %v", err, h.service.calls)
		}
	})
}

func TestRenamedMeanwhile(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.draft(staging.Spec{Name: "x"}, pattern(100))
	h.service.hook = func(c call) {
		if c.op == "upload" && c.done {
			check(t, d.Rename("y", "y", nil))
		}
	}
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if h.only().Name != "y" || img.Name != "y" || h.service.count("update") != 1 {
		t.Errorf("record %+v", h.only())
	}
}

func TestBaseFails(t *testing.T) {
	for _, c := range []struct{ from, to image.Kind }{{image.NotFound, image.Stale}, {image.Credentials, image.Credentials}} {
		h := newHouse(t, newFake())
		old := h.service.put(image.Image{Name: "x", DiskFormat: "raw"}, pattern(5000))
		spec := h.edit(old)
		spec.Base.(*fakeBase).fail = &image.Error{Op: "open span", Kind: c.from}
		_, err := h.Commit(ctxb, h.draft(spec, []byte("edit")))
		if !image.Is(err, c.to) || h.service.count("upload") != 1 {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(old, h.only()); diff != "" {
			t.Error(diff)
		}
	}
}

// slowContent blocks in ReadAt until its context ends.
type slowContent struct{ reading chan struct{} }

func (s slowContent) Size() int64 { return 10 }
func (slowContent) wait()         {}
func (s slowContent) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	close(s.reading)
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestStoppedBody: a transport that still reads when its upload has failed gets
// an error, and its reading is not taken for the cause.
func TestStoppedBody(t *testing.T) {
	c := slowContent{make(chan struct{})}
	b := newBody(ctxb, c, algoSHA512, &new(progress).sent, new(atomic.Int64))
	got := make(chan error)
	go func() {
		_, err := io.ReadAll(b)
		got <- err
	}()
	<-c.reading
	if _, err := b.stop(); err != nil {
		t.Errorf("the content is blamed: %v", err)
	}
	if err := <-got; !errors.Is(err, errStopped) {
		t.Errorf("the reader got %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, errStopped) {
		t.Errorf("a later read got %v", err)
	}
}
