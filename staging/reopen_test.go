package staging

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// killed lets a draft go as a killed process does: nothing more is journaled.
func killed(t *testing.T, d *Draft) {
	t.Helper()
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	must(t, d.release())
}

func reopen(t *testing.T, s *Store, id string, spec ReopenSpec) *Draft {
	t.Helper()
	d, err := s.Reopen(id, spec)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func TestReopenNew(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n", Entry: "e"})
	write(t, d, "hello", 3)
	must(t, d.Update(func(r *Record) { r.State, r.Image = StateCreated, "image" }))
	if _, err := s.Reopen(d.ID(), ReopenSpec{}); !image.Is(err, image.Busy) {
		t.Errorf("a draft that is held: %v", err)
	}
	killed(t, d)

	again := reopen(t, s, d.ID(), ReopenSpec{})
	r := again.Record()
	if r.Name != "n" || r.Entry != "e" || r.State != StateCreated || r.Image != "image" || r.Size != 8 || r.Uncertain || r.Unlinked {
		t.Errorf("%+v", r)
	}
	if string(contents(t, again)) != "\x00\x00\x00hello" || !again.Dirty() || !again.Written() {
		t.Errorf("%q, dirty %v, written %v", contents(t, again), again.Dirty(), again.Written())
	}
	if info, err := os.Stat(again.Path()); err != nil || !again.ModTime().Equal(info.ModTime()) {
		t.Errorf("mtime %v, %v", again.ModTime(), err)
	}
	if list := kept(t, s); len(list) != 0 {
		t.Errorf("held, and listed: %+v", list)
	}
	write(t, again, "HE", 3)
	if r := again.Record(); r.State != StateOpen || r.Image != "image" {
		t.Errorf("after a write: %+v", r)
	}
	snap, err := again.BeginCommit(t.Context())
	must(t, err)
	must(t, again.Rebase(nil, image.Image{ID: "image"}))
	snap.End(true)
	must(t, again.Discard())
	if left := files(t, s); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestReopenOverBase(t *testing.T) {
	s := tempStore(t)
	base := []byte("0123456789")
	img := image.Image{ID: "base", Size: 10, HashAlgo: "sha512", HashValue: "aa", DiskFormat: "raw"}
	d := create(t, s, Spec{Name: "n", Base: &memory{data: base}, BaseImage: img, Replaces: "base", Inherit: &img})
	write(t, d, "xy", 2)
	must(t, d.Keep("why"))

	for name, c := range map[string]struct {
		img  image.Image
		kind image.Kind
	}{
		"another":       {image.Image{ID: "other", Size: 10, HashAlgo: "sha512", HashValue: "aa"}, image.Rejected},
		"another hash":  {image.Image{ID: "base", Size: 10, HashAlgo: "sha512", HashValue: "bb"}, image.Stale},
		"another size":  {image.Image{ID: "base", Size: 9, HashAlgo: "sha512", HashValue: "aa"}, image.Stale},
		"without bytes": {image.Image{ID: "base", Size: 10}, image.Stale},
	} {
		under := &memory{data: base}
		if _, err := s.Reopen(d.ID(), ReopenSpec{Base: under, BaseImage: c.img}); !image.Is(err, c.kind) || under.closed.Load() != 1 {
			t.Errorf("%s: %v, closed %d times", name, err, under.closed.Load())
		}
	}
	under := &memory{data: base}
	again := reopen(t, s, d.ID(), ReopenSpec{Base: under, BaseImage: img})
	if got, ok := again.BaseImage(); !ok || got.DiskFormat != "raw" || again.Inherit() == nil {
		t.Errorf("over %+v, inherits %+v", got, again.Inherit())
	}
	if string(contents(t, again)) != "01xy456789" || !again.Dirty() || again.Record().Uncertain {
		t.Errorf("%q %+v", contents(t, again), again.Record())
	}
	must(t, again.Close())
	if under.closed.Load() != 1 {
		t.Error("the base is open")
	}

	// The base is gone: what was written can still be had, and it is said why the rest
	// cannot.
	gone := reopen(t, s, d.ID(), ReopenSpec{})
	p := make([]byte, 2)
	if n, err := gone.ReadAt(t.Context(), p, 2); n != 2 || err != nil || string(p) != "xy" {
		t.Errorf("%q %v", p[:n], err)
	}
	_, err := gone.ReadAt(t.Context(), p, 0)
	wantKind(t, err, image.Stale)
	if !strings.Contains(err.Error(), "base") || !gone.Dirty() {
		t.Error(err)
	}
}

// An image that was opened for writing and not written makes nothing to commit.
func TestReopenUntouched(t *testing.T) {
	s := tempStore(t)
	spec := over([]byte("0123456789"))
	d := create(t, s, spec)
	must(t, d.Close())
	again := reopen(t, s, d.ID(), ReopenSpec{Base: &memory{data: []byte("0123456789")}, BaseImage: spec.BaseImage})
	if again.Dirty() {
		t.Error("it counts as changed")
	}
	must(t, again.Truncate(t.Context(), 5))
	must(t, again.Close())
	if again := reopen(t, s, d.ID(), ReopenSpec{Base: &memory{data: []byte("0123456789")}, BaseImage: spec.BaseImage}); !again.Dirty() || string(contents(t, again)) != "01234" {
		t.Error("truncated, and not changed")
	}
}

// Truncated after the journal was written: the base does not come back.
func TestReopenTruncated(t *testing.T) {
	s := tempStore(t)
	spec := over([]byte("0123456789"))
	d := create(t, s, spec)
	write(t, d, "xy", 6)
	must(t, d.Sync(t.Context()))
	must(t, d.Truncate(t.Context(), 7))
	killed(t, d)
	again := reopen(t, s, d.ID(), ReopenSpec{Base: &memory{data: []byte("0123456789")}, BaseImage: spec.BaseImage})
	if got := string(contents(t, again)); got != "012345x" {
		t.Errorf("%q", got)
	}
	must(t, again.Truncate(t.Context(), 9))
	if got := string(contents(t, again)); got != "012345x\x00\x00" {
		t.Errorf("%q", got)
	}

	// Nor after the next Sync.
	write(t, again, "z", 8)
	must(t, again.Sync(t.Context()))
	killed(t, again)
	again = reopen(t, s, d.ID(), ReopenSpec{Base: &memory{data: []byte("0123456789")}, BaseImage: spec.BaseImage})
	if got := string(contents(t, again)); got != "012345x\x00z" {
		t.Errorf("%q after a Sync", got)
	}
}

func TestReopenRefuses(t *testing.T) {
	s := tempStore(t)
	_, err := s.Reopen(uuid.NewString(), ReopenSpec{})
	wantKind(t, err, image.NotFound)
	for name, spoil := range map[string]func(data, journal string) error{
		"no journal":  func(_, journal string) error { return os.Remove(journal) },
		"no data":     func(data, _ string) error { return os.Remove(data) },
		"bad journal": func(_, journal string) error { return os.WriteFile(journal, []byte("{"), 0o600) },
		"a link":      func(data, _ string) error { return errors.Join(os.Remove(data), os.Symlink("/etc/passwd", data)) },
		"a directory": func(data, _ string) error { return errors.Join(os.Remove(data), os.Mkdir(data, 0o700)) },
	} {
		d := create(t, s, Spec{Name: name})
		write(t, d, "x", 0)
		must(t, d.Close())
		must(t, spoil(d.Path(), filepath.Join(s.path, d.ID()+journalSuffix)))
		if _, err := s.Reopen(d.ID(), ReopenSpec{}); !image.Is(err, image.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(name, "data") {
			continue
		}
		list := kept(t, s)
		if len(list) == 0 || list[len(list)-1].Damage == "" {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

// Whoever only looks at a draft is waited for.
func TestReopenWaitsForLookers(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n"})
	write(t, d, "x", 0)
	must(t, d.Close())
	looker, err := os.Open(d.Path())
	must(t, err)
	if ok, err := lock(looker, 1 /* LOCK_SH */); !ok || err != nil {
		t.Fatal(ok, err)
	}
	time.AfterFunc(lockPause*2, func() { _ = looker.Close() })
	reopen(t, s, d.ID(), ReopenSpec{})
}

// What a process or the machine leaves, and whether bytes may be missing of it.
func TestUncertain(t *testing.T) {
	type ending func(*testing.T, *Draft)
	state := func(st State, then ending) ending {
		return func(t *testing.T, d *Draft) {
			must(t, d.Update(func(r *Record) { r.State = st }))
			then(t, d)
		}
	}
	synced := func(then ending) ending {
		return func(t *testing.T, d *Draft) { must(t, d.Sync(context.Background())); then(t, d) }
	}
	closed := func(t *testing.T, d *Draft) { must(t, d.Close()) }
	kept := func(t *testing.T, d *Draft) { must(t, d.Keep("why")) }
	for _, c := range []struct {
		name           string
		end            ending
		layered, power bool
		want           bool
	}{
		{"open, killed", killed, false, false, false},
		{"open, power", killed, false, true, true},
		{"open, synced, power", synced(killed), false, true, true}, // it may have been written since
		{"open over a base, killed", killed, true, false, true},
		{"open, closed, power", closed, false, true, false},
		{"open over a base, closed, power", closed, true, true, false},
		{"kept over a base, power", kept, true, true, false},
		{"committing, killed", state(StateCommitting, killed), true, false, false},
		{"committing, power", state(StateCommitting, killed), false, true, true},
		{"committing, synced, power", synced(state(StateCommitting, killed)), true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := tempStore(t)
			spec := Spec{Name: "n"}
			var again ReopenSpec
			if c.layered {
				spec = over([]byte("0123456789"))
				again = ReopenSpec{Base: &memory{data: []byte("0123456789")}, BaseImage: spec.BaseImage}
			}
			d := create(t, s, spec)
			write(t, d, "xy", 2)
			c.end(t, d)
			if c.power {
				s.boot = "another"
			}
			list, err := s.Kept()
			must(t, err)
			if len(list) != 1 || list[0].Uncertain != c.want {
				t.Errorf("listed as %+v", list)
			}
			d = reopen(t, s, d.ID(), again)
			if d.Record().Uncertain != c.want {
				t.Errorf("reopened as %+v", d.Record())
			}
			write(t, d, "z", 0)
			must(t, d.Close()) // what was lost stays lost
			if list, err := s.Kept(); err != nil || len(list) != 1 || list[0].Uncertain != c.want {
				t.Errorf("afterwards %+v %v", list, err)
			}
		})
	}
}

// A reopened draft that was closed properly is not taken for such a one any more
// once it is written.
func TestReopenedAndKilled(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n"})
	write(t, d, "x", 0)
	must(t, d.Close())
	d, err := s.Reopen(d.ID(), ReopenSpec{})
	must(t, err)
	write(t, d, "y", 1)
	killed(t, d)
	s.boot = "another"
	if list := kept(t, s); len(list) != 1 || !list[0].Uncertain {
		t.Errorf("%+v", list)
	}
}
