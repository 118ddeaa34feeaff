package staging

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func TestStateAfterCommit(t *testing.T) {
	d := create(t, tempStore(t), Spec{Name: "n", Into: "queued", Replaces: "old", Inherit: &image.Image{ID: "old"}})
	write(t, d, "one", 0)
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	must(t, d.Update(func(r *Record) { r.State, r.Image = StateVisible, "first" }))
	must(t, d.Rebase(nil, image.Image{ID: "first"}))
	snap.End(true)
	if r := d.Record(); r.State != StateCommitted || r.Image != "first" || r.Replaces != "first" || r.Inherit != "first" || r.Into != "" || r.Base != "" {
		t.Fatalf("after the commit: %+v", r)
	}
	if _, ok := d.BaseImage(); ok || d.Inherit().ID != "first" {
		t.Fatal("a new draft got a base")
	}
	must(t, d.Truncate(t.Context(), 3)) // its size: no change
	if n, err := d.WriteAt(t.Context(), nil, 99); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if d.Dirty() || d.Record().State != StateCommitted {
		t.Fatal("nothing changed, and the draft is dirty")
	}
	write(t, d, "two", 0)
	if r := d.Record(); !d.Dirty() || r.State != StateOpen || r.Image != "" || r.Replaces != "first" {
		t.Fatalf("after the next write: %+v", r)
	}
	must(t, d.Discard())
}

// TestFailedWriteLeavesClean: the file size limit of the kernel makes a write
// fail without a change.
func TestFailedWriteLeavesClean(t *testing.T) {
	d := create(t, tempStore(t), Spec{Name: "n"})
	_, err := d.WriteAt(t.Context(), []byte("x"), math.MaxInt64-2)
	if err == nil || d.Dirty() || d.Written() || d.Size() != 0 {
		t.Fatalf("%v; dirty %v, size %d", err, d.Dirty(), d.Size())
	}
	_, err = d.WriteAt(t.Context(), []byte("x"), math.MaxInt64)
	wantKind(t, err, image.Rejected)
	_, err = d.WriteAt(t.Context(), []byte("x"), -1)
	wantKind(t, err, image.Rejected)
	_, err = d.ReadAt(t.Context(), []byte("x"), -1)
	wantKind(t, err, image.Rejected)
	wantKind(t, d.Truncate(t.Context(), -1), image.Rejected)
	wantKind(t, d.Allocate(t.Context(), 0, 1, math.MaxInt64), image.Rejected)
	wantKind(t, d.Allocate(t.Context(), unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096), image.Unsupported)
	wantKind(t, d.Allocate(t.Context(), unix.FALLOC_FL_PUNCH_HOLE, 0, 4096), image.Unsupported)
	if d.Dirty() {
		t.Fatal("dirty")
	}
	must(t, d.Discard())
}

// TestModTime: what was set holds until bytes change.
func TestModTime(t *testing.T) {
	s := tempStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s.now = func() time.Time { return now }
	set := time.Date(2001, 1, 1, 0, 0, 0, 7, time.UTC)
	d := create(t, s, Spec{Name: "n"})
	write(t, d, "x", 0)
	if !d.ModTime().Equal(now) {
		t.Fatal(d.ModTime())
	}
	must(t, d.Update(func(r *Record) { r.Attributes.ModTime = &set }))
	if !d.ModTime().Equal(set) || d.Record().Attributes.ModTime == nil {
		t.Fatal(d.ModTime())
	}
	write(t, d, "y", 0)
	if !d.ModTime().Equal(now) || d.Record().Attributes.ModTime != nil {
		t.Fatal(d.ModTime())
	}
	must(t, d.Update(func(r *Record) { r.Attributes.ModTime = &set }))
	must(t, d.Close())
	if r := kept(t, s)[0]; !r.Attributes.ModTime.Equal(set) {
		t.Fatalf("journaled %v", r.Attributes.ModTime)
	}
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	edit := create(t, s, Spec{Name: "n", Base: &memory{}, BaseImage: image.Image{ID: "x", CreatedAt: created}})
	if !edit.ModTime().Equal(created) {
		t.Fatal(edit.ModTime())
	}
	must(t, edit.Discard())
}

// TestUpdateKeepsIdentity: a change cannot make a journal of another draft.
func TestUpdateKeepsIdentity(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, over([]byte("base")))
	was := d.Record()
	must(t, d.Update(func(r *Record) {
		*r = Record{State: StateOpen, Name: "other", Entry: "other"}
	}))
	must(t, d.Rename("name", "entry", &image.Image{ID: "image"}))
	if got := d.Inherit(); got == nil || got.ID != "image" {
		t.Fatalf("it inherits from %+v", got)
	}
	must(t, d.Rename("name", "entry", nil))
	must(t, d.Close())
	r := kept(t, s)[0]
	if r.Draft != was.Draft || r.Service != service || r.Project != "p" || r.Base != "base" || r.Version != journalVersion || !r.CreatedAt.Equal(was.CreatedAt) || r.Size != 4 {
		t.Fatalf("%+v", r)
	}
	if r.Name != "name" || r.Entry != "entry" || r.Replaces != "image" || r.Inherit != "image" || r.Boot == "" {
		t.Fatalf("%+v", r)
	}
}

// TestUnlinked: an unlinked draft is written on, but never committed or brought
// back.
func TestUnlinked(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n"})
	must(t, d.Unlink())
	must(t, d.Unlink())
	write(t, d, "still here", 0)
	must(t, d.Sync(t.Context()))
	mode := uint32(0o600)
	must(t, d.Update(func(r *Record) { r.Attributes.Mode = &mode }))
	if r := d.Record(); !d.Unlinked() || !r.Unlinked || *r.Attributes.Mode != mode {
		t.Fatalf("%+v", r)
	}
	wantKind(t, d.Update(func(r *Record) { r.Image = "image" }), image.NotFound)
	_, err := d.BeginCommit(t.Context())
	wantKind(t, err, image.NotFound)
	must(t, d.Close()) // as a daemon does that ends before the last handle
	if left := kept(t, s); len(left) != 0 {
		t.Fatalf("%+v", left)
	}
	openStore(t, filepath.Dir(s.path))
	if left := files(t, s); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}

// TestUnlinkDuringCommit: the journal goes on naming the image that was begun.
func TestUnlinkDuringCommit(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n"})
	must(t, d.Update(func(r *Record) { r.State, r.Image = StateCommitting, "begun" }))
	must(t, d.Unlink())
	must(t, d.Update(func(r *Record) { r.State = StateCreated }))
	must(t, d.Close())
	openStore(t, filepath.Dir(s.path))
	if r := kept(t, s); len(r) != 1 || !r[0].Unlinked || r[0].Image != "begun" || r[0].State != StateCreated {
		t.Fatalf("%+v", r)
	}
}

// TestSyncedTellsTheTruth: a journal says whether the data were fsynced.
func TestSyncedTellsTheTruth(t *testing.T) {
	s := tempStore(t)
	journaled := func(d *Draft) Record {
		t.Helper()
		must(t, d.Update(func(r *Record) { r.State = StateCommitting }))
		j, err := s.readJournal(d.ID())
		must(t, err)
		return j.Record
	}
	for _, spec := range []Spec{{Name: "n"}, over([]byte("base"))} {
		d := create(t, s, spec)
		write(t, d, "x", 0)
		if journaled(d).Synced {
			t.Error("synced before Sync")
		}
		must(t, d.Sync(t.Context()))
		if !journaled(d).Synced {
			t.Error("not synced after Sync")
		}
		write(t, d, "y", 0)
		if journaled(d).Synced {
			t.Error("synced after another write")
		}
		must(t, d.Discard())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := create(t, s, Spec{Name: "n"})
	wantKind(t, d.Sync(ctx), image.Interrupted)
	must(t, d.Discard())
}

// TestSparse: holes cost nothing, in a new draft and over a base, and the files
// are the owner's alone.
func TestSparse(t *testing.T) {
	const big = 1 << 40
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n", Base: &memory{}, BaseImage: image.Image{ID: "x", Size: big}})
	write(t, d, "x", big/2)
	must(t, d.Truncate(t.Context(), 2*big))
	if pos, ok, err := d.SeekHole(big); pos != big || !ok || err != nil {
		t.Fatal(pos, ok, err)
	}
	if _, ok, err := d.SeekData(big); ok || err != nil {
		t.Fatal("data after the base", err)
	}
	must(t, d.Close())
	r := kept(t, s)[0]
	if r.Size != 2*big || r.Stored == 0 || r.Stored > 1<<20 || r.Path != d.Path() {
		t.Fatalf("%+v", r)
	}
	for _, name := range files(t, s) {
		info, err := os.Stat(filepath.Join(s.Dir(), name))
		must(t, err)
		if info.Mode() != fileMode {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// TestOvertakenSync: the journal write of a Sync that comes after another one
// does not take extents away.
func TestOvertakenSync(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, over([]byte("base")))
	early := d.layerLocked()
	write(t, d, "B", 0)
	must(t, d.Update(func(r *Record) { r.State = StateCommitting }))
	must(t, d.rewrite(func(*Record) bool { return true }, early))
	j, err := s.readJournal(d.ID())
	must(t, err)
	if in, end := j.ext.at(0); !in || end != 1 || j.Synced {
		t.Fatalf("%+v", j)
	}
	must(t, d.Discard())
}

// BenchmarkWrite is a sequential write of 128 KiB requests, to hold against
// BenchmarkBareWrite.
func BenchmarkWrite(b *testing.B) {
	s, err := Open(Options{Dir: filepath.Join(b.TempDir(), "staging"), Service: service})
	must(b, err)
	d := create(b, s, Spec{Name: "n"})
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	for i := range b.N {
		if _, err := d.WriteAt(b.Context(), p, int64(i%4096)*int64(len(p))); err != nil {
			b.Fatal(err)
		}
	}
	must(b, d.Discard())
	must(b, s.Close())
}

// BenchmarkBareWrite does the same to a bare file.
func BenchmarkBareWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	must(b, err)
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	for i := range b.N {
		if _, err := f.WriteAt(p, int64(i%4096)*int64(len(p))); err != nil {
			b.Fatal(err)
		}
	}
	must(b, f.Close())
}

// A draft that replaces an image and is not over its bytes was truncated by its
// open: there is something to commit before a byte is written.
func TestTruncatedAtOpenIsDirty(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, c := range []struct {
		spec Spec
		want bool
	}{
		{Spec{Name: "new"}, false},
		{Spec{Name: "filled", Into: "queued"}, false},
		{Spec{Name: "truncated", Replaces: "old"}, true},
	} {
		d := create(t, s, c.spec)
		if d.Dirty() != c.want || d.Written() {
			t.Errorf("%s: dirty %v, written %v", c.spec.Name, d.Dirty(), d.Written())
		}
		if err := d.Discard(); err != nil {
			t.Error(err)
		}
	}
}
