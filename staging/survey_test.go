package staging

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// survey returns what is found by its name.
func survey(t *testing.T, dir string) map[string]Record {
	t.Helper()
	all, err := Survey(dir)
	must(t, err)
	found := map[string]Record{}
	for _, r := range all {
		if r.Damage != "" {
			r.Name = "damaged"
		}
		found[r.Name] = r
	}
	if len(found) != len(all) {
		t.Fatalf("%+v", all)
	}
	return found
}

func TestSurvey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "staging")
	if all, err := Survey(dir); err != nil || len(all) != 0 {
		t.Fatalf("a directory that is not there: %v %v", all, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("it was made")
	}
	s := openStore(t, dir)
	other, err := Open(Options{Dir: dir, Service: "https://other.test/image", Cloud: "other"})
	must(t, err)
	defer func() { must(t, other.Close()) }()
	held := create(t, s, Spec{Name: "held"})
	write(t, held, "123", 0)
	left := create(t, other, Spec{Name: "left"})
	write(t, left, "12345", 0)
	must(t, left.Keep("why"))
	must(t, os.MkdirAll(filepath.Join(dir, "of somebody else"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "0123456789abcdef"), nil, 0o600))
	// A journal that was moved to another service's directory belongs to none.
	moved := create(t, other, Spec{Name: "moved"})
	write(t, moved, "x", 0)
	must(t, moved.Close())
	for _, suffix := range []string{dataSuffix, journalSuffix} {
		must(t, os.Rename(filepath.Join(other.path, moved.ID()+suffix), filepath.Join(s.path, moved.ID()+suffix)))
	}

	found := survey(t, dir)
	if r := found["held"]; !r.Held || r.Size != 3 || r.Service != service || r.State != StateOpen || r.Uncertain {
		t.Errorf("held: %+v", r)
	}
	if r := found["left"]; r.Held || r.Size != 5 || r.Stored == 0 || r.Cloud != "other" || r.Reason != "why" || r.Path != left.Path() {
		t.Errorf("left: %+v", r)
	}
	if r := found["damaged"]; r.Draft != moved.ID() {
		t.Errorf("moved: %+v", r)
	}
	if list := kept(t, s); len(list) != 1 || list[0].Damage == "" {
		t.Errorf("the service's own: %+v", list)
	}

	wantKind(t, Discard(found["held"]), image.Busy)
	for _, name := range []string{"left", "damaged"} {
		must(t, Discard(found[name]))
	}
	if found := survey(t, dir); len(found) != 1 || string(contents(t, held)) != "123" {
		t.Errorf("left after discarding: %+v", found)
	}
	if names := files(t, other); len(names) != 0 {
		t.Errorf("files %v", names)
	}
	must(t, held.Close())
	must(t, os.Chmod(dir, 0o777))
	_, err = Survey(dir)
	wantKind(t, err, image.Misconfigured)
}

func TestDiscardDamaged(t *testing.T) {
	for name, spoil := range map[string]func(data, journal string) error{
		"no journal":  func(_, journal string) error { return os.Remove(journal) },
		"no data":     func(data, _ string) error { return os.Remove(data) },
		"bad journal": func(_, journal string) error { return os.WriteFile(journal, []byte("{"), 0o600) },
		"a link":      func(data, _ string) error { return errors.Join(os.Remove(data), os.Symlink("/etc/passwd", data)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := tempStore(t)
			d := create(t, s, Spec{Name: "n"})
			write(t, d, "x", 0)
			must(t, d.Close())
			must(t, spoil(d.Path(), filepath.Join(s.path, d.ID()+journalSuffix)))
			list := kept(t, s)
			if len(list) != 1 || list[0].Damage == "" {
				t.Fatalf("%+v", list)
			}
			must(t, Discard(list[0]))
			if left := files(t, s); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestExpireAbandoned(t *testing.T) {
	s := tempStore(t)
	long := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return long }
	abandon := func(sure bool) func(*Draft) error { return func(d *Draft) error { return d.Abandon("killed", sure) } }
	for name, end := range map[string]func(*Draft) error{
		"abandoned": abandon(true), "perhaps": abandon(false),
		"failed": func(d *Draft) error { return d.Keep("why") }, "open": (*Draft).Close,
	} {
		d := create(t, s, Spec{Name: name})
		write(t, d, "x", 0)
		must(t, end(d))
	}
	ours := s.project
	s.project = "theirs"
	other := create(t, s, Spec{Name: "of another project"})
	write(t, other, "x", 0)
	must(t, other.Abandon("killed", true))
	s.project = ours
	half := create(t, s, Spec{Name: "half made"})
	write(t, half, "x", 0)
	must(t, half.Update(func(r *Record) { r.Image = "image" }))
	must(t, half.Abandon("killed", true))
	held := create(t, s, Spec{Name: "held"})
	write(t, held, "x", 0)
	must(t, held.Update(func(r *Record) { r.State = StateAbandoned }))
	s.now = func() time.Time { return long.Add(time.Hour) }
	young := create(t, s, Spec{Name: "young"})
	write(t, young, "x", 0)
	must(t, young.Abandon("killed", true))

	if gone, err := s.ExpireAbandoned(long); err != nil || len(gone) != 0 {
		t.Errorf("not older than the time: %v %v", gone, err)
	}
	gone, err := s.ExpireAbandoned(long.Add(time.Second))
	if err != nil || len(gone) != 1 || gone[0].Name != "abandoned" {
		t.Errorf("%+v %v", gone, err)
	}
	must(t, held.Close())
	names := map[string]bool{}
	for _, r := range kept(t, s) {
		names[r.Name] = true
	}
	if len(names) != 7 || names["abandoned"] {
		t.Errorf("left: %v", names)
	}
	// Written again, it is abandoned for sure or not at all.
	for _, r := range kept(t, s) {
		if r.Name == "perhaps" {
			d := reopen(t, s, r.Draft, ReopenSpec{})
			write(t, d, "y", 0)
			if d.Record().Unsure {
				t.Error("still unsure")
			}
		}
	}
}

// The times that decide over a removal are those of the clock that Options name; what
// a file shows is the host's.
func TestClockOfJournals(t *testing.T) {
	s := openStore(t, t.TempDir())
	service := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s.clock = func() time.Time { return service }
	s.now = func() time.Time { return service.AddDate(-60, 0, 0) } // a host without a battery
	d := create(t, s, Spec{Name: "n"})
	if at := d.ModTime(); !at.Equal(s.now()) {
		t.Errorf("its file is of %s", at)
	}
	write(t, d, "x", 0)
	if at := d.ModTime(); !at.Equal(s.now()) {
		t.Errorf("its bytes are of %s", at)
	}
	must(t, d.Abandon("killed", true))
	if r := kept(t, s)[0]; !r.CreatedAt.Equal(service) || !r.UpdatedAt.Equal(service) {
		t.Errorf("its journal is of %s and %s", r.CreatedAt, r.UpdatedAt)
	}
}
