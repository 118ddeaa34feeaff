package staging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func tempStore(t *testing.T) *Store {
	t.Helper()
	return openStore(t, filepath.Join(t.TempDir(), "staging"))
}

// TestCommitHoldsWriters: whoever changes the draft waits for End; reads and the
// record do not.
func TestCommitHoldsWriters(t *testing.T) {
	s := tempStore(t)
	for name, change := range map[string]func(context.Context, *Draft) error{
		"write":    func(ctx context.Context, d *Draft) error { _, err := d.WriteAt(ctx, []byte("X"), 0); return err },
		"truncate": func(ctx context.Context, d *Draft) error { return d.Truncate(ctx, 1) },
		"allocate": func(ctx context.Context, d *Draft) error { return d.Allocate(ctx, unix.FALLOC_FL_ZERO_RANGE, 0, 9) },
		"commit": func(ctx context.Context, d *Draft) error {
			s, err := d.BeginCommit(ctx)
			if err == nil {
				s.End(false)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := create(t, s, Spec{Name: "n"})
				write(t, d, "before", 0)
				snap, err := d.BeginCommit(t.Context())
				must(t, err)

				ctx, cancel := context.WithCancel(t.Context())
				cancelled, waiting := make(chan error, 1), make(chan error, 1)
				go func() { cancelled <- change(ctx, d) }()
				go func() { waiting <- change(t.Context(), d) }()
				synctest.Wait()
				cancel()
				wantKind(t, <-cancelled, image.Interrupted)
				synctest.Wait()
				if len(waiting) != 0 {
					t.Fatal("did not wait for the commit")
				}
				must(t, d.Update(func(r *Record) { r.State = StateCommitting }))
				must(t, d.Sync(t.Context()))
				if got := contents(t, d); string(got) != "before" {
					t.Fatalf("the draft is %q during the commit", got)
				}
				snap.End(true)
				must(t, <-waiting)
				snap.End(false) // a second End changes nothing
				if changed := name != "commit"; d.Dirty() != changed || (d.Record().State == StateOpen) != changed {
					t.Fatalf("dirty %v, journal %q", d.Dirty(), d.Record().State)
				}
				must(t, d.Discard())
			})
		})
	}
}

// TestCommitWaitsForWriters: a commit begins when the writers before it are done.
func TestCommitWaitsForWriters(t *testing.T) {
	d := create(t, tempStore(t), Spec{Name: "n"})
	must(t, d.gate.Acquire(t.Context(), 1)) // a write that takes its time
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.BeginCommit(ctx)
	wantKind(t, err, image.Interrupted)
	d.gate.Release(1)
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	snap.End(false)
	must(t, d.Discard())
}

// TestManyAtOnce is for the race detector: writers of areas of their own,
// readers, syncs and commits, each of which must see whole records.
func TestManyAtOnce(t *testing.T) {
	const writers, rounds, record = 4, 30, 512
	s := openStore(t, tmpfs(t, "16m"))
	data := bytes.Repeat([]byte{0xBB}, writers*record)
	spec := over(data)
	spec.BaseImage.CreatedAt = s.now()
	d := create(t, s, spec)
	ctx := t.Context()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				if _, err := d.WriteAt(ctx, bytes.Repeat([]byte{byte(i)}, record), int64(w*record)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range rounds {
			if err := errors.Join(d.Sync(ctx), d.Update(func(r *Record) { r.Entry += "x" })); err != nil {
				t.Error(err)
			}
			if r := d.Record(); r.Size != writers*record || d.ModTime().IsZero() {
				t.Errorf("record %+v", r)
			}
		}
	})
	for range 2 {
		all.Go(func() {
			for range rounds {
				commitWhole(t, d, record)
			}
		})
	}
	all.Wait()
	if r := d.Record(); len(r.Entry) != len(spec.Entry)+rounds {
		t.Errorf("entry %q: an update was lost", r.Entry)
	}
	must(t, d.Discard())
}

// commitWhole commits the draft and rebases it; a record must be of one byte.
func commitWhole(t *testing.T, d *Draft, record int) {
	ctx := t.Context()
	snap, err := d.BeginCommit(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer snap.End(true)
	p := make([]byte, snap.Size())
	again := make([]byte, snap.Size())
	for _, p := range [][]byte{p, again} {
		if _, err := snap.ReadAt(ctx, p, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	if !bytes.Equal(p, again) {
		t.Error("the snapshot changed")
	}
	for off := 0; off < len(p); off += record {
		if bytes.Count(p[off:off+record], p[off:off+1]) != record {
			t.Errorf("the record at %d is mixed", off)
		}
	}
	if err := d.Rebase(&memory{data: p}, image.Image{ID: "image", Size: snap.Size()}); err != nil {
		t.Error(err)
	}
}

// TestRebaseWaitsForNoRead: a read of the old base goes on, closes it at its end,
// and obeys its ctx.
func TestRebaseWaitsForNoRead(t *testing.T) {
	s := tempStore(t)
	synctest.Test(t, func(t *testing.T) {
		old := &memory{data: []byte("old base"), hold: make(chan struct{})}
		d := create(t, s, Spec{Name: "n", Base: old, BaseImage: image.Image{ID: "old", Size: 8}})
		got := make(chan string, 1)
		go func() {
			p := make([]byte, 8)
			n, err := d.ReadAt(t.Context(), p, 0)
			got <- string(p[:n])
			if err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		interrupted := make(chan error, 1)
		go func() {
			_, err := d.ReadAt(ctx, make([]byte, 4), 0)
			interrupted <- err
		}()
		synctest.Wait()
		cancel()
		wantKind(t, <-interrupted, image.Interrupted)

		must(t, d.Rebase(&memory{data: []byte("new base")}, image.Image{ID: "new", Size: 8}))
		if old.closed.Load() != 0 {
			t.Fatal("the base was closed under a read")
		}
		if string(contents(t, d)) != "new base" {
			t.Fatalf("after Rebase: %q", contents(t, d))
		}
		close(old.hold)
		if text := <-got; text != "old base" {
			t.Fatalf("the read got %q", text)
		}
		synctest.Wait()
		if n := old.closed.Load(); n != 1 {
			t.Fatalf("the old base was closed %d times", n)
		}
		if img, ok := d.BaseImage(); !ok || img.ID != "new" || d.Inherit().ID != "new" {
			t.Fatalf("base %v %v", img, ok)
		}
		must(t, d.Discard())
	})
}

// TestTruncatedAfterCommit: a read that began during a commit and goes on when somebody has
// truncated meets no error.
func TestTruncatedAfterCommit(t *testing.T) {
	s := tempStore(t)
	synctest.Test(t, func(t *testing.T) {
		base := &memory{data: []byte("base"), hold: make(chan struct{})}
		d := create(t, s, Spec{Name: "n", Base: base, BaseImage: image.Image{ID: "x", Size: 4}})
		write(t, d, "local", 4)
		snap, err := d.BeginCommit(t.Context())
		must(t, err)
		read := make(chan error, 1)
		p := make([]byte, 9)
		go func() {
			_, err := d.ReadAt(t.Context(), p, 0)
			read <- err
		}()
		synctest.Wait()
		snap.End(false)
		must(t, d.Truncate(t.Context(), 6))
		close(base.hold)
		if err := <-read; err != nil || string(p) != "baselo\x00\x00\x00" {
			t.Errorf("%q, %v", p, err)
		}
		must(t, d.Discard())
	})
}

func TestShortBase(t *testing.T) {
	d := create(t, tempStore(t), Spec{Name: "n", Base: &memory{data: []byte("abc")}, BaseImage: image.Image{ID: "x", Size: 8}})
	n, err := d.ReadAt(t.Context(), make([]byte, 8), 0)
	if n != 0 || !errors.Is(err, errShortBase) || errors.Is(err, io.EOF) {
		t.Fatalf("read %d: %v", n, err)
	}
	must(t, d.Discard())
}

// TestEnds: every end may come twice, and afterwards every operation is refused.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*Draft) error{
		"close":   (*Draft).Close,
		"discard": (*Draft).Discard,
		"keep":    func(d *Draft) error { return d.Keep("why\nnot") },
	} {
		s := tempStore(t)
		spec := over([]byte("base"))
		d := create(t, s, spec)
		write(t, d, "B", 0)
		must(t, end(d))
		must(t, d.Close())
		must(t, d.Discard())
		wantKind(t, d.Keep(""), image.Stale)
		if n := spec.Base.(*memory).closed.Load(); n != 1 {
			t.Errorf("%s closed the base %d times", name, n)
		}
		_, readErr := d.ReadAt(t.Context(), make([]byte, 1), 0)
		_, writeErr := d.WriteAt(t.Context(), []byte("x"), 0)
		_, commitErr := d.BeginCommit(t.Context())
		_, _, seekErr := d.SeekData(0)
		other := &memory{}
		for _, err := range []error{
			readErr, writeErr, commitErr, seekErr, d.Truncate(t.Context(), 1), d.Allocate(t.Context(), 0, 0, 1),
			d.Sync(t.Context()), d.Update(func(*Record) {}), d.Rename("a", "b", nil), d.Unlink(), d.Rebase(other, image.Image{}),
		} {
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("after %s: %v", name, err)
			}
			wantKind(t, err, image.Stale)
		}
		if other.closed.Load() != 1 {
			t.Error("the base of a late Rebase is open")
		}
		left := kept(t, s)
		switch {
		case name == "discard" && len(left) == 0:
		case name == "close" && len(left) == 1 && left[0].State == StateOpen:
		case name == "keep" && len(left) == 1 && left[0].State == StateFailed && left[0].Reason == "why not" && left[0].Synced:
		default:
			t.Errorf("after %s: %+v", name, left)
		}
	}
}
