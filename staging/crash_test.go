package staging

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// stepDisk calls before ahead of every step that changes the directory; an error
// of it is the step's.
type stepDisk struct {
	disk
	before func(step, name string, data []byte) error
}

func (d stepDisk) create(name string) (*os.File, error) {
	if err := d.before("create", name, nil); err != nil {
		return nil, err
	}
	return d.disk.create(name)
}

func (d stepDisk) write(name string, data []byte) error {
	if err := d.before("write", name, data); err != nil {
		return err
	}
	return d.disk.write(name, data)
}

func (d stepDisk) patch(name string, data []byte, off int64) error {
	if err := d.before("patch", name, data); err != nil {
		return err
	}
	return d.disk.patch(name, data, off)
}

func (d stepDisk) rename(from, to string) error {
	if err := d.before("rename", from, nil); err != nil {
		return err
	}
	return d.disk.rename(from, to)
}

func (d stepDisk) remove(name string) error {
	if err := d.before("remove", name, nil); err != nil {
		return err
	}
	return d.disk.remove(name)
}

func (d stepDisk) sync() error {
	if err := d.before("sync", "", nil); err != nil {
		return err
	}
	return d.disk.sync()
}

// scene is one thing done to a draft whose journal says "visible" of an image,
// and what a crash in it may leave: nothing, or a draft in one of the states.
type scene struct {
	name string
	do   func(t *testing.T, s *Store, d *Draft) error
	may  []string
}

const nothing = "nothing"

func state(s State) string { return string(s) }

var scenes = []scene{
	{"update", func(_ *testing.T, _ *Store, d *Draft) error {
		return d.Update(func(r *Record) { r.State = StateUploaded })
	}, []string{state(StateVisible), state(StateUploaded)}},
	{"write after a commit", func(t *testing.T, _ *Store, d *Draft) error {
		_, err := d.WriteAt(t.Context(), []byte("more"), 0)
		return err
	}, []string{state(StateVisible), state(StateOpen)}},
	{"rebase", func(t *testing.T, _ *Store, d *Draft) error {
		snap, err := d.BeginCommit(t.Context())
		must(t, err)
		defer snap.End(true)
		return d.Rebase(nil, image.Image{ID: "image"})
	}, []string{state(StateVisible), nothing}}, // nobody has to recover what is committed
	{"keep", func(_ *testing.T, _ *Store, d *Draft) error { return d.Abandon("killed", true) },
		[]string{state(StateVisible), state(StateAbandoned)}},
	{"close", func(_ *testing.T, _ *Store, d *Draft) error { return d.Close() }, []string{state(StateVisible)}},
	{"discard", func(_ *testing.T, _ *Store, d *Draft) error { return d.Discard() }, []string{state(StateVisible), nothing}},
	{"unlink with an image made", func(_ *testing.T, _ *Store, d *Draft) error { return d.Unlink() },
		[]string{state(StateVisible), "unlinked"}},
	{"unlink before a commit", func(t *testing.T, _ *Store, d *Draft) error {
		if err := d.Update(func(r *Record) { r.State, r.Image = StateOpen, "" }); err != nil {
			return err
		}
		if err := d.Unlink(); err != nil {
			return err
		}
		if err := d.Update(func(r *Record) { r.Entry = "x" }); err != nil {
			return err
		}
		return d.Discard()
	}, []string{state(StateVisible), state(StateOpen), nothing}},
	{"create another", func(t *testing.T, s *Store, _ *Draft) error {
		d, err := s.Create(over([]byte("base")))
		if err != nil {
			return err
		}
		return d.Close()
	}, []string{state(StateVisible), state(StateVisible) + " " + state(StateOpen)}},
}

// begin makes the draft of a scene.
func begin(t *testing.T, dir string) (*Store, *Draft) {
	s := openStore(t, dir)
	d := create(t, s, Spec{Name: "n", Entry: "n"})
	write(t, d, "bytes", 0)
	must(t, d.Update(func(r *Record) { r.State, r.Image = StateVisible, "image" }))
	return s, d
}

// found says what a new store makes of a directory.
func found(t *testing.T, dir string) string {
	t.Helper()
	s := openStore(t, dir)
	var states []string
	for _, r := range kept(t, s) {
		if r.Damage != "" {
			t.Fatalf("damaged: %+v", r)
		}
		if r.Unlinked {
			r.State = "unlinked"
		}
		states = append(states, state(r.State))
	}
	left := files(t, s)
	if len(left) != 2*len(states) {
		t.Fatalf("%d drafts and the files %v", len(states), left)
	}
	if len(states) == 0 {
		return nothing
	}
	return strings.Join(states, " ")
}

// copyFiles copies the store's files; zeros stay a hole.
func copyFiles(t *testing.T, dir string, s *Store) {
	for _, name := range files(t, s) {
		data, err := os.ReadFile(filepath.Join(s.path, name))
		must(t, err)
		size := int64(len(data))
		to := filepath.Join(dir, name)
		must(t, os.WriteFile(to, bytes.TrimRight(data, "\x00"), fileMode))
		must(t, os.Truncate(to, size))
	}
}

// TestCrash copies the directory before every step and in the middle of every
// write: each copy is what a crash at that moment leaves.
func TestCrash(t *testing.T) {
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			s, d := begin(t, filepath.Join(t.TempDir(), "staging"))
			var copies []string
			photo := func(half string, data []byte) {
				root := filepath.Join(t.TempDir(), fmt.Sprint(len(copies)))
				dir := filepath.Join(root, filepath.Base(s.path))
				must(t, os.MkdirAll(dir, localdir.Mode))
				copyFiles(t, dir, s)
				if half != "" {
					must(t, os.WriteFile(filepath.Join(dir, half), data, fileMode))
				}
				copies = append(copies, root)
			}
			s.disk = stepDisk{s.disk, func(step, name string, data []byte) error {
				photo("", nil)
				if step == "write" {
					photo(name, data[:len(data)/2])
				}
				return nil
			}}
			must(t, sc.do(t, s, d))
			photo("", nil)
			must(t, d.Close())
			seen := map[string]bool{}
			for _, dir := range copies {
				got := found(t, dir)
				if !slices.Contains(sc.may, got) {
					t.Errorf("a crash leaves %q, want one of %q", got, sc.may)
				}
				seen[got] = true
			}
			if len(seen) != len(sc.may) {
				t.Errorf("crashes left %v, want each of %q once", seen, sc.may)
			}
		})
	}
}

// TestFailingStep makes each step fail in turn: the operation says so, and the
// disk has what a crash could have left.
func TestFailingStep(t *testing.T) {
	broken := errors.New("broken")
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			for failing := 0; ; failing++ {
				dir := filepath.Join(t.TempDir(), "staging")
				s, d := begin(t, dir)
				n := 0
				real := s.disk
				s.disk = stepDisk{real, func(string, string, []byte) error {
					n++
					if n-1 == failing {
						return broken
					}
					return nil
				}}
				err := sc.do(t, s, d)
				s.disk = real
				must(t, d.Close())
				if n <= failing {
					must(t, err)
					return
				}
				if !errors.Is(err, broken) {
					t.Fatalf("step %d failed and %s says %v", failing, sc.name, err)
				}
				if got := found(t, dir); !slices.Contains(sc.may, got) {
					t.Errorf("failing step %d leaves %q, want one of %q", failing, got, sc.may)
				}
			}
		})
	}
}

// TestFailedCreateLeavesNothing does so without the sweep of another Open.
func TestFailedCreateLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	for _, failing := range []string{"create", "write", "rename", "sync"} {
		s := openStore(t, filepath.Join(t.TempDir(), "staging"))
		s.disk = stepDisk{s.disk, func(step, _ string, _ []byte) error {
			if step == failing {
				return broken
			}
			return nil
		}}
		spec := over([]byte("base"))
		if _, err := s.Create(spec); !errors.Is(err, broken) {
			t.Errorf("%s failed and Create says %v", failing, err)
		}
		if left := files(t, s); len(left) != 0 {
			t.Errorf("%s failed and left %v", failing, left)
		}
		if n := spec.Base.(*memory).closed.Load(); n != 1 {
			t.Errorf("%s failed and closed the base %d times", failing, n)
		}
	}
}
