package staging

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// What a writer was refused, and did not write later or cut off, is missing: whoever
// closes the file all the same commits nothing.
func TestRefusedWrite(t *testing.T) {
	const tried = 128 << 10 // more than there is room for
	later := map[string]struct {
		do   func(t *testing.T, d *Draft, n int) error
		good bool
	}{
		"closes": {func(*testing.T, *Draft, int) error { return nil }, false},
		"writes something else": {func(t *testing.T, d *Draft, _ int) error {
			_, err := d.WriteAt(t.Context(), []byte("x"), 0)
			return err
		}, false},
		"writes the rest": {func(t *testing.T, d *Draft, n int) error {
			for _, off := range []int{tried - 9, n} { // in any order
				if _, err := d.WriteAt(t.Context(), make([]byte, min(tried-9, tried-off)), int64(off)); err != nil {
					return err
				}
			}
			return nil
		}, true},
		"cuts it off": {func(t *testing.T, d *Draft, n int) error { return d.Truncate(t.Context(), int64(n)) }, true},
		"zeroes it": {func(t *testing.T, d *Draft, n int) error {
			return d.Allocate(t.Context(), zeroRange, int64(n), tried-int64(n))
		}, true},
	}
	for name, c := range later {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, filepath.Join(tmpfs(t, "96k"), "staging"))
			ballast := filepath.Join(s.path, "other")
			must(t, os.WriteFile(ballast, make([]byte, 48<<10), 0o600))
			d := create(t, s, Spec{Name: "n"})
			n, err := d.WriteAt(t.Context(), make([]byte, tried), 0)
			wantKind(t, err, image.LocalFull)
			must(t, os.Remove(ballast))
			if c.good && name != "cuts it off" {
				must(t, syscall.Mount("", filepath.Dir(filepath.Dir(s.path)), "", syscall.MS_REMOUNT, "size=1m"))
			}
			must(t, c.do(t, d, n))
			if d.MissesFrom(int64(n)) == c.good {
				t.Errorf("bytes are missing: %t", c.good)
			}
			snap, err := d.BeginCommit(t.Context())
			accepted := d.Accept
			if err == nil {
				snap.End(false)
			}
			for _, err := range []error{err, accepted(t.Context(), image.Attributes{})} {
				if c.good && err != nil || !c.good && !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("%v", err)
				}
			}
			must(t, d.Keep("why"))
			if r := kept(t, s); len(r) != 1 || r[0].Uncertain == c.good {
				t.Errorf("kept %+v", r)
			}
		})
	}
}

// zeroRange is FALLOC_FL_ZERO_RANGE.
const zeroRange = 0x10

// refusals are the set of bytes that were refused and not written since; where they are
// many, that set and what lies between.
func TestRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r refusals
		var missing [64]bool
		place := rapid.Int64Range(0, int64(len(missing)))
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			off, end := place.Draw(t, "off"), place.Draw(t, "end")
			if off >= end {
				continue
			}
			refuse := rapid.Bool().Draw(t, "refused")
			if refuse {
				r.add(off, end, syscall.ENOSPC)
			} else {
				r.written(off, end)
			}
			for i := off; i < end; i++ {
				missing[i] = refuse
			}
		}
		if want := slices.Contains(missing[:], true); errors.Is(r.err(), syscall.ENOSPC) != want {
			t.Fatalf("%v, missing %v", r, missing)
		}
		from := place.Draw(t, "from")
		if want := slices.Contains(missing[from:], true); r.missesFrom(from) != want {
			t.Fatalf("from %d: %v, missing %v", from, r, missing)
		}
	})
	var many refusals
	for i := range int64(10 * maxRefused) {
		many.add(10*i, 10*i+1, syscall.EIO)
	}
	if len(many.ranges) > maxRefused {
		t.Errorf("%d ranges", len(many.ranges))
	}
	many.written(0, 100*maxRefused)
	if err := many.err(); err != nil {
		t.Error(err)
	}
}
