package staging

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

func TestOpenMakesPrivateDirectories(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "a")
	s := openStore(t, filepath.Join(parent, "b", "staging")+"/")
	for _, dir := range []string{parent, filepath.Join(parent, "b"), filepath.Join(parent, "b", "staging"), s.Dir()} {
		info, err := os.Stat(dir)
		must(t, err)
		if info.Mode() != os.ModeDir|localdir.Mode {
			t.Errorf("%s has mode %v", dir, info.Mode())
		}
	}
}

// What is made is put on the disk, each directory by an fsync of the one that it is in.
func TestMadeDirectoriesAreSynced(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "a", "staging")
	var synced []string
	watch := func(of string) error {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s before all is made: %v", of, err)
		}
		synced = append(synced, of)
		return syncDir(of)
	}
	for range 2 { // the second time it is there
		must(t, makeDir(dir, watch))
		if want := []string{filepath.Join(top, "a"), top}; !slices.Equal(synced, want) {
			t.Errorf("fsynced %q, want %q", synced, want)
		}
	}
	broken := errors.New("broken")
	if err := makeDir(filepath.Join(dir, "service"), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string) // dir exists
		says  string
	}{
		"symlink": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"2"))
			must(t, os.Symlink(dir+"2", dir))
		}, "symbolic link"},
		"dangling symlink": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir))
			must(t, os.Symlink("nowhere", dir))
		}, "symbolic link"},
		"foreign":        {func(t *testing.T, dir string) { must(t, os.Chown(dir, 12345, -1)) }, "chown"},
		"group-writable": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o770)) }, "chmod 0700"},
		"world-writable": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o1777)) }, "chmod 0700"},
		"file": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir))
			must(t, os.WriteFile(dir, nil, 0o600))
		}, "not a directory"},
		"service directory": {func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, serviceDir(service)), 0o700))
			must(t, os.Chmod(filepath.Join(dir, serviceDir(service)), 0o777))
		}, "chmod 0700"},
		"read-only filesystem": {func(t *testing.T, dir string) {
			must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "mode=0700"))
			t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
		}, "--staging-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "staging")
			must(t, os.Mkdir(dir, 0o700))
			c.spoil(t, dir)
			_, err := Open(Options{Dir: dir, Service: service})
			wantKind(t, err, image.Misconfigured)
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the message %q does not say %q of %s", err, c.says, dir)
			}
			if strings.HasPrefix(name, "symlink") {
				made, err := os.ReadDir(dir + "2")
				must(t, err)
				if len(made) != 0 {
					t.Error("something was made behind the symlink")
				}
			}
		})
	}
	_, err := Open(Options{Dir: "staging", Service: service})
	wantKind(t, err, image.Misconfigured)
}

// TestHeldByOne: what one store holds no other one lists or sweeps, in whatever
// state; services do not see each other's.
func TestHeldByOne(t *testing.T) {
	a := tempStore(t)
	dir := filepath.Dir(a.path)
	d := create(t, a, Spec{Name: "n"})
	gone := create(t, a, Spec{Name: "gone"})
	must(t, gone.Unlink())
	must(t, d.Update(func(r *Record) { r.State = StateCommitted })) // also after the journal's rename
	must(t, os.WriteFile(filepath.Join(a.path, d.ID()+asideSuffix), []byte("{"), fileMode))

	b := openStore(t, dir)
	for _, s := range []*Store{a, b} {
		if list := kept(t, s); len(list) != 0 {
			t.Fatalf("a draft that is held is listed: %+v", list)
		}
	}
	if left := files(t, b); len(left) != 5 {
		t.Fatalf("swept what is held: %v", left)
	}
	write(t, d, "x", 0)
	must(t, d.Close())
	must(t, gone.Close())
	if list := kept(t, b); len(list) != 1 || list[0].Draft != d.ID() {
		t.Fatalf("%+v", list)
	}
	if list := kept(t, a); len(list) != 1 {
		t.Fatalf("looking took the lock: %+v", list)
	}
	other, err := Open(Options{Dir: dir, Service: "http://other"})
	must(t, err)
	if list := kept(t, other); len(list) != 0 {
		t.Fatalf("of another service: %+v", list)
	}
	must(t, other.Close())
}

// TestSweptAtBirth: a Create whose data file another process takes for debris
// makes another one.
func TestSweptAtBirth(t *testing.T) {
	s := tempStore(t)
	sweeps := 0
	s.disk = bornDisk{s.disk, func(name string) {
		if sweeps++; sweeps < createTries {
			must(t, s.disk.(bornDisk).disk.remove(name))
		}
	}}
	d := create(t, s, Spec{Name: "n"})
	if sweeps != createTries {
		t.Fatalf("%d tries", sweeps)
	}
	if _, err := os.Stat(d.Path()); err != nil {
		t.Fatal(err)
	}
	must(t, d.Discard())
}

// bornDisk calls born after a data file was made.
type bornDisk struct {
	disk
	born func(name string)
}

func (d bornDisk) create(name string) (*os.File, error) {
	f, err := d.disk.create(name)
	if err == nil {
		d.born(name)
	}
	return f, err
}

// TestKeptOfJunk: whatever lies there is either reported or ignored, and stays.
func TestKeptOfJunk(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "good"})
	write(t, d, "good", 0)
	must(t, d.Close())
	whole, err := os.ReadFile(filepath.Join(s.path, d.ID()+journalSuffix))
	must(t, err)

	put := func(name string, text []byte) { must(t, os.WriteFile(filepath.Join(s.path, name), text, fileMode)) }
	want := map[string]string{d.ID(): ""}
	draft := func(damage string, edit func(text string) string) {
		id := uuid.NewString()
		put(id+dataSuffix, []byte("precious"))
		if edit != nil {
			put(id+journalSuffix, []byte(edit(strings.ReplaceAll(string(whole), d.ID(), id))))
		}
		want[id] = damage
	}
	draft("truncated", func(s string) string { return s[:len(s)/2] })
	draft("truncated", func(string) string { return "" })
	draft("truncated", func(string) string { return strings.Repeat("\x00", 100) })
	draft("version 9", func(s string) string { return strings.Replace(s, `"version":1`, `"version":9,"state":7`, 1) })
	draft("another draft", func(string) string { return string(whole) })
	draft("impossible", func(s string) string { return strings.Replace(s, `"state":"open"`, `"state":"flying"`, 1) })
	draft("another", func(s string) string { return strings.Replace(s, service, "http://another", 1) })
	draft("journal is missing", nil)
	lost := uuid.NewString()
	put(lost+journalSuffix, bytes.ReplaceAll(whole, []byte(d.ID()), []byte(lost)))
	want[lost] = "data file is missing"
	odd := uuid.NewString()
	must(t, os.Mkdir(filepath.Join(s.path, odd+dataSuffix), 0o700))
	put(odd+journalSuffix, bytes.ReplaceAll(whole, []byte(d.ID()), []byte(odd)))
	want[odd] = "cannot be read"
	link := uuid.NewString()
	must(t, os.Symlink("/etc/passwd", filepath.Join(s.path, link+dataSuffix)))
	put(link+journalSuffix, bytes.ReplaceAll(whole, []byte(d.ID()), []byte(link)))
	want[link] = "cannot be read"
	put("README", nil)
	put("x"+journalSuffix, []byte("{}"))
	put(strings.ToUpper(uuid.NewString())+journalSuffix, []byte("{}"))
	before := len(files(t, s))
	put(d.ID()+asideSuffix, whole[:9]) // the only one that goes

	again := openStore(t, filepath.Dir(s.path))
	for _, r := range kept(t, again) {
		damage, ok := want[r.Draft]
		if !ok || (damage == "") != (r.Damage == "") || !strings.Contains(r.Damage, damage) {
			t.Errorf("%q for %+v", damage, r)
		}
		delete(want, r.Draft)
		if r.Path != again.dataPath(r.Draft) || strings.Contains(damage, "truncated") && r.Size != int64(len("precious")) {
			t.Errorf("%+v", r)
		}
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	if after := files(t, again); len(after) != before {
		t.Errorf("%d files became %d", before, len(after))
	}
}

// TestFullDisk fills a real filesystem.
func TestFullDisk(t *testing.T) {
	s := openStore(t, filepath.Join(tmpfs(t, "1m"), "staging"))
	d := create(t, s, Spec{Name: "n"})
	chunk := bytes.Repeat([]byte{7}, 300<<10)
	var err error
	var n, total int
	for err == nil {
		n, err = d.WriteAt(t.Context(), chunk, int64(total))
		total += n
	}
	wantKind(t, err, image.LocalFull)
	if !errors.Is(err, syscall.ENOSPC) || d.Size() != int64(total) || total == 0 || total >= 1<<20 {
		t.Fatalf("%v after %d bytes, size %d", err, total, d.Size())
	}
	if got := contents(t, d); bytes.Count(got, []byte{7}) != total {
		t.Fatal("what was accepted is not there")
	}
	wantKind(t, d.Allocate(t.Context(), 0, 0, 2<<20), image.LocalFull)
	if d.Size() != int64(total) {
		t.Fatalf("a failed allocation made %d bytes of %d", d.Size(), total)
	}

	before := files(t, s)
	spec := over([]byte("base"))
	_, err = s.Create(spec)
	wantKind(t, err, image.LocalFull)
	if after := files(t, s); len(after) != len(before) || spec.Base.(*memory).closed.Load() != 1 {
		t.Fatalf("a failed Create left %v", after)
	}
	was := d.Record()
	wantKind(t, d.Update(func(r *Record) { r.State = StateCommitting }), image.LocalFull)
	if r := d.Record(); r.State != was.State {
		t.Fatalf("a failed Update made the state %q", r.State)
	}
	must(t, d.Keep("full")) // see TestJournalOnFullDisk
	if r := kept(t, s); len(r) != 1 || r[0].Damage != "" || r[0].State != StateFailed || r[0].Size != int64(total) {
		t.Fatalf("%+v", r)
	}
}

// TestUnlinkOnFullDisk: rm must help against a full disk.
func TestUnlinkOnFullDisk(t *testing.T) {
	s := openStore(t, filepath.Join(tmpfs(t, "64k"), "staging"))
	d := create(t, s, Spec{Name: "n"})
	_, err := d.WriteAt(t.Context(), make([]byte, 128<<10), 0)
	wantKind(t, err, image.LocalFull)
	must(t, d.Unlink())
	must(t, d.Discard())
	must(t, create(t, s, Spec{Name: "n"}).Discard())
}

// TestJournalOnFullDisk: what must not be committed says so also where there is no room
// for another journal, and a removal gives room back.
func TestJournalOnFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Draft) error
		want func(Record) bool
	}{
		"removed":   {func(d *Draft) error { return errors.Join(d.Unlink(), d.Close()) }, func(r Record) bool { return r.Unlinked && r.Image == "image" && r.Size == 0 }},
		"failed":    {func(d *Draft) error { return d.Keep("why") }, func(r Record) bool { return r.State == StateFailed && r.Reason == verdictReason }},
		"abandoned": {func(d *Draft) error { return d.Abandon("why", true) }, func(r Record) bool { return r.State == StateFailed && !r.Owed() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, filepath.Join(tmpfs(t, "64k"), "staging"))
			d := create(t, s, Spec{Name: "n"})
			must(t, d.Accept(t.Context(), image.Attributes{}))
			must(t, d.Update(func(r *Record) { r.Image = "image" }))
			full := filepath.Join(s.path, "other")
			fill(t, full)
			wantKind(t, d.Update(func(*Record) {}), image.LocalFull)
			must(t, c.end(d))
			if r := kept(t, s); len(r) != 1 || r[0].Damage != "" || r[0].Owed() || !c.want(r[0]) {
				t.Errorf("%+v", r)
			}
			must(t, os.Remove(full))
			again, err := s.Reopen(d.ID(), ReopenSpec{})
			must(t, err)
			if name != "removed" { // the next journal says it without a verdict
				must(t, again.Update(func(r *Record) { r.State, r.Accepted = StateCommitting, true }))
			}
			must(t, again.Close())
			if r := kept(t, s); len(r) != 1 || r[0].Unlinked != (name == "removed") || r[0].Owed() != (name != "removed") {
				t.Errorf("afterwards %+v", r)
			}
		})
	}
}

// TestRemovalGivesRoomBack: the bytes of a removed draft go with its last handle, also
// where the service has something left that its journal must tell of.
func TestRemovalGivesRoomBack(t *testing.T) {
	s := tempStore(t)
	d := create(t, s, Spec{Name: "n"})
	write(t, d, "bytes", 0)
	must(t, d.Update(func(r *Record) { r.State, r.Image = StateCreated, "image" }))
	must(t, d.Unlink())
	if got := string(contents(t, d)); got != "bytes" {
		t.Errorf("an open file reads %q", got)
	}
	must(t, d.Close())
	if r := kept(t, s); len(r) != 1 || r[0].Stored != 0 || r[0].Size != 0 || !r[0].Unlinked {
		t.Errorf("%+v", r)
	}
}

// fill takes all the room that a filesystem has.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 1024))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, f.Close())
}
