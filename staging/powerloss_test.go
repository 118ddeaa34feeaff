package staging

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// What is done with a draft when that returns stays done when the machine loses its power
// then: of a directory only what was there at its last fsync is sure to be left. A data file
// is not gone before.
func TestPowerLoss(t *testing.T) {
	accept := func(d *Draft) error { return d.Accept(t.Context(), image.Attributes{}) }
	commit := func(d *Draft) error {
		snap, err := d.BeginCommit(t.Context())
		if err != nil {
			return err
		}
		defer snap.End(true)
		return d.Rebase(nil, image.Image{ID: "image"})
	}
	remove := func(d *Draft) error {
		if err := d.Close(); err != nil {
			return err
		}
		return d.store.remove(d.ID())
	}
	for name, c := range map[string]struct {
		was, end func(*Draft) error
		syncs    int // of the directory
	}{
		"an owed one is discarded":         {accept, (*Draft).Discard, 1},
		"a kept one is discarded":          {accept, remove, 2},
		"a committed one is discarded":     {commit, (*Draft).Discard, 0}, // whatever is left of it goes at the next mount
		"one is unlinked and is discarded": {accept, func(d *Draft) error { return firstOf(d.Unlink(), d.Discard()) }, 1},
		"one without data is discarded":    {accept, func(d *Draft) error { return firstOf(os.Remove(d.Path()), remove(d)) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			d := create(t, s, Spec{Name: "n", Entry: "n"})
			write(t, d, "bytes", 0)
			must(t, c.was(d))
			syncs, left := 0, ""
			photo := func() {
				left = t.TempDir()
				dir := filepath.Join(left, filepath.Base(s.path))
				must(t, os.Mkdir(dir, localdir.Mode))
				copyFiles(t, dir, s)
			}
			photo() // all of this is on the disk
			real := s.disk
			s.disk = afterSync{real, func() { syncs++; photo() }}
			err := c.end(d)
			s.disk = real
			must(t, err)
			if got := found(t, left); got != nothing {
				t.Errorf("a loss of power leaves %q", got)
			}
			if syncs != c.syncs {
				t.Errorf("the directory was fsynced %d times, want %d", syncs, c.syncs)
			}
		})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// afterSync calls done after each fsync of the directory.
type afterSync struct {
	disk
	done func()
}

func (d afterSync) sync() error {
	err := d.disk.sync()
	if err == nil {
		d.done()
	}
	return err
}
