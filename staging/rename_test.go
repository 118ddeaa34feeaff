package staging

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imagefs/imagefs/image"
)

func someRename() image.Rename {
	return image.Rename{
		Image:      image.Image{ID: "a", Name: "from", Visibility: image.VisibilityPrivate, Tags: []string{"t"}, Properties: map[string]string{"p": "v"}},
		Name:       "to",
		Over:       &image.Image{ID: "b", Name: "to", Owner: "p", Visibility: image.VisibilityShared, MinDisk: 2, CreatedAt: time.Unix(1e9, 0).UTC()},
		Attributes: "{}",
	}
}

func renames(t *testing.T, s *Store) []Rename {
	t.Helper()
	all, err := s.Renames()
	must(t, err)
	return all
}

func TestRenameJournal(t *testing.T) {
	s := openStore(t, t.TempDir())
	j := s.BeginRename(RenameSpec{From: "from~1", To: "to", Gone: "gone", Moves: "moves"})
	if got := files(t, s); len(got) != 0 {
		t.Errorf("before the first note: %v", got)
	}
	r := someRename()
	must(t, j.Note(r))
	r.Members, r.Noted = []image.Member{{Project: "x", Status: "accepted"}}, true
	must(t, j.Note(r))
	r.Undone, r.Ended, r.Named = true, true, true
	must(t, j.Note(r))
	all := renames(t, s)
	if len(all) != 1 || !all[0].Held {
		t.Fatalf("it is %+v", all)
	}
	if _, err := s.TakeRename(all[0].ID); !image.Is(err, image.Busy) {
		t.Errorf("of a live daemon: %v", err)
	}
	left, err := j.End()
	if err != nil || !left {
		t.Errorf("not settled: %v, %v", left, err)
	}
	again := openStore(t, filepath.Dir(s.Dir())) // what is not settled is no debris
	all = renames(t, again)
	want := Rename{Rename: r, RenameSpec: RenameSpec{From: "from~1", To: "to", Gone: "gone", Moves: "moves"}, Project: "p"}
	if diff := cmp.Diff([]Rename{want}, all, cmpopts.IgnoreFields(Rename{}, "ID", "Begun", "Path")); diff != "" {
		t.Error(diff)
	}
	if len(kept(t, again)) != 0 {
		t.Error("it counts as a draft")
	}
	taken, err := again.TakeRename(all[0].ID)
	must(t, err)
	if _, err := s.TakeRename(all[0].ID); !image.Is(err, image.Busy) {
		t.Errorf("of whoever recovers it: %v", err)
	}
	r.Noted = false
	must(t, taken.Note(r))
	if now := renames(t, s); len(now) != 1 || now[0].Noted {
		t.Errorf("it goes on as %+v", now)
	}
	taken.Settled()
	left, err = taken.End()
	if err != nil || left || len(files(t, s)) != 0 {
		t.Errorf("settled: %v, %v, %v", left, err, files(t, s))
	}
	if _, err := s.TakeRename(all[0].ID); !image.Is(err, image.NotFound) {
		t.Errorf("of one that has ended: %v", err)
	}
}

// A rename that needed no journal leaves none.
func TestRenameJournalUnused(t *testing.T) {
	s := openStore(t, t.TempDir())
	left, err := s.BeginRename(RenameSpec{}).End()
	if err != nil || left || len(files(t, s)) != 0 {
		t.Errorf("%v, %v, %v", left, err, files(t, s))
	}
}

// Whatever of the last line is on the disk, the journal says this or what it said before.
func TestRenameJournalTorn(t *testing.T) {
	s := openStore(t, t.TempDir())
	j := s.BeginRename(RenameSpec{To: "to"})
	r := someRename()
	must(t, j.Note(r))
	id, path := j.rec.ID, filepath.Join(s.Dir(), j.rec.ID+renameSuffix)
	first, err := os.ReadFile(path)
	must(t, err)
	r.Undone = true
	must(t, j.Note(r))
	whole, err := os.ReadFile(path)
	must(t, err)
	_, err = j.End()
	must(t, err)
	for n := range len(whole) + 1 {
		if n%11 != 0 && n != len(first) && n != len(first)-1 && n < len(whole)-1 {
			continue // each takes an fsync
		}
		for _, tail := range []string{"", "\x00\x00\n"} {
			must(t, os.WriteFile(path, append(slices.Clone(whole[:n]), tail...), 0o600))
			all := renames(t, s)
			switch {
			case n < len(first) && tail == "":
				if len(all) != 0 {
					t.Fatalf("%d bytes: %+v", n, all)
				}
				continue
			case n < len(first):
				if len(all) != 1 || all[0].Damage == "" {
					t.Fatalf("%d bytes and noise: %+v", n, all)
				}
				continue
			case len(all) != 1 || all[0].Damage != "" || all[0].Undone != (n == len(whole)):
				t.Fatalf("%d bytes and %q: %+v", n, tail, all)
			}
			taken, err := s.TakeRename(id)
			must(t, err)
			r.Noted = true
			must(t, taken.Note(r))
			_, err = taken.End()
			must(t, err)
			if all := renames(t, s); len(all) != 1 || !all[0].Noted || !all[0].Undone {
				t.Fatalf("%d bytes, gone on with: %+v", n, all)
			}
		}
	}
}

// A journal that was being begun is removed by the next Open, unless somebody has it;
// one that cannot be read stays, and says why.
func TestRenameJournalDebris(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	const unbegun, held, damaged, foreign = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222",
		"33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
	for id, text := range map[string]string{
		unbegun: `{"version":1`, held: "", damaged: "no journal\n", foreign: `{"version":1,"rename":"` + foreign + `","image":{"id":"a"},"service":"http://other"}` + "\n",
	} {
		must(t, os.WriteFile(filepath.Join(s.Dir(), id+renameSuffix), []byte(text), 0o600))
	}
	f, err := os.OpenFile(filepath.Join(s.Dir(), held+renameSuffix), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	if ok, err := lock(f, syscall.LOCK_EX); err != nil || !ok {
		t.Fatal(ok, err)
	}
	again := openStore(t, dir)
	left := files(t, again)
	slices.Sort(left)
	if diff := cmp.Diff([]string{held + renameSuffix, damaged + renameSuffix, foreign + renameSuffix}, left); diff != "" {
		t.Error(diff)
	}
	all := renames(t, again)
	if len(all) != 2 || slices.ContainsFunc(all, func(r Rename) bool { return r.Damage == "" }) {
		t.Errorf("listed %+v", all)
	}
	for _, id := range []string{damaged, foreign} {
		if _, err := again.TakeRename(id); !image.Is(err, image.Corrupt) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Where the disk is full, or fails, the journal says what it did before.
func TestRenameJournalOnAFullDisk(t *testing.T) {
	for _, step := range []string{"create", "sync", "fsync"} {
		s := openStore(t, t.TempDir())
		real := s.disk
		fails := true
		s.disk = stepDisk{disk: real, before: func(what, _ string, _ []byte) error {
			if fails && what == step {
				return syscall.ENOSPC
			}
			return nil
		}}
		s.sync = func(f *os.File) error {
			if fails && step == "fsync" {
				return syscall.ENOSPC
			}
			return f.Sync()
		}
		j := s.BeginRename(RenameSpec{})
		r := someRename()
		if err := j.Note(r); !image.Is(err, image.LocalFull) || len(files(t, s)) != 0 {
			t.Errorf("%s: %v leaves %v", step, err, files(t, s))
		}
		fails = false
		must(t, j.Note(r))
		fails = true
		r.Undone = true
		if err := j.Note(r); (err == nil) != (step != "fsync") {
			t.Errorf("%s: %v", step, err)
		}
		if all := renames(t, s); len(all) != 1 || all[0].Undone != (step != "fsync") {
			t.Errorf("%s: %+v", step, all)
		}
		fails = false
		j.Settled()
		_, err := j.End()
		must(t, err)
	}
}

// Another process that opens its store takes a new journal for debris before it is
// locked: it is made anew.
func TestRenameJournalSwept(t *testing.T) {
	s := openStore(t, t.TempDir())
	swept := false
	real := s.disk
	s.disk = sweptDisk{disk: real, once: func(name string) {
		if !swept {
			swept = true
			must(t, real.remove(name))
		}
	}}
	j := s.BeginRename(RenameSpec{})
	must(t, j.Note(someRename()))
	if got := files(t, s); !swept || len(got) != 1 || !strings.HasSuffix(got[0], renameSuffix) {
		t.Errorf("there is %v", got)
	}
	_, err := j.End()
	must(t, err)
	s.disk = sweptDisk{disk: real, once: func(name string) { must(t, real.remove(name)) }}
	if err := s.BeginRename(RenameSpec{}).Note(someRename()); !errors.Is(err, errSwept) {
		t.Errorf("each time: %v", err)
	}
}

// sweptDisk does something to what it has just created.
type sweptDisk struct {
	disk
	once func(name string)
}

func (d sweptDisk) create(name string) (*os.File, error) {
	f, err := d.disk.create(name)
	if err == nil {
		d.once(name)
	}
	return f, err
}
