package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
)

var (
	seed = flag.Uint64("seed", 1, "of what is done to the files; the next ones follow")
	ops  = flag.Int("ops", 1000, "operations on each file")
)

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) { daemon.Main(&binary, func(string) (int, error) { return m.Run(), nil }) }

// What is right on a local disk is right of a new file, and of an image that is edited
// in place; and once it is closed, the service has the file's bytes.
func TestExercise(t *testing.T) {
	if err := exercise(filepath.Join(t.TempDir(), "local"), *seed, *ops, nil); err != nil {
		t.Fatal("on a local disk: ", err)
	}
	for i, c := range []struct {
		name string
		args []string
	}{{"draft", nil}, {"image", nil}, {"writeback", []string{"--writeback"}}, {"uncached", []string{"--cache-size", "0"}}} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			s := daemon.Serve(t, filepath.Join(root, "served"))
			const name = "exercised.img"
			if c.name != "draft" {
				data := make([]byte, most/2)
				for i := range data {
					data[i] = byte(i%251) + 1
				}
				if _, err := s.Upload(t.Context(), image.New{Name: name}, data); err != nil {
					t.Fatal(err)
				}
			}
			d := daemon.Run(t, binary, root, append([]string{"--endpoint", s.URL()}, c.args...)...)
			path := filepath.Join(d.Mountpoint, name)
			remount := func() error { return errors.Join(d.Unmount(), d.Mount()) }
			if err := exercise(path, *seed+uint64(i), *ops, remount); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(d.Unmount(), s.Holds(t.Context(), map[string][]byte{name: want})); err != nil {
				t.Error(err)
			}
			if found := d.Complaints(); len(found) > 0 {
				t.Errorf("the log complains: %q", found)
			}
		})
	}
}

// It finds what is wrong: a byte that somebody else changes.
func TestFindsADifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := exercise(path, 3, 20, nil); err != nil {
		t.Fatal(err)
	}
	remount := func() error { return os.WriteFile(path, []byte("changed"), 0o600) }
	if err := exercise(path, 3, 2000, remount); err == nil {
		t.Error("nothing was found")
	}
}
