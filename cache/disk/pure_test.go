package disk

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// Whatever the service calls an image, its file lies in the directory.
func TestFileName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ".", "..", "../../etc/passwd", "a/b", "/", "lock"})).Draw(t, "id")
		name := fileName(identity{image.Key{Service: service, ID: id, Version: "v"}, 1})
		if strings.ContainsAny(name, "/\x00") || filepath.Base(name) != name || !strings.HasPrefix(name, "image-") || len(name) > 64 {
			t.Fatalf("%q is called %q", id, name)
		}
	})
	p := draw(1, 1)
	if name := p.name(); !strings.HasPrefix(name, p.img.ID+"-") {
		t.Errorf("%s is called %q", p.img.ID, name)
	}
}

func TestFileNamesDiffer(t *testing.T) {
	seen := map[string]identity{}
	for _, id := range []identity{
		{image.Key{Service: "s", ID: "i", Version: "v"}, 1},
		{image.Key{Service: "s", ID: "i", Version: "v"}, 2},
		{image.Key{Service: "s", ID: "i", Version: "w"}, 1},
		{image.Key{Service: "s", ID: "j", Version: "v"}, 1},
		{image.Key{Service: "t", ID: "i", Version: "v"}, 1},
		{image.Key{Service: "si", ID: "", Version: "v"}, 1},
		{image.Key{Service: "s", ID: "iv", Version: ""}, 1},
	} {
		name := fileName(id)
		if other, twice := seen[name]; twice {
			t.Errorf("%+v and %+v are both %s", id, other, name)
		}
		seen[name] = id
	}
}

func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Uint32Min(firstStamp).Draw(t, "now")
		sum, stamp := rapid.Uint32().Draw(t, "sum"), rapid.Uint32().Draw(t, "stamp")
		v := decodeSlot(appendSlot(nil, makeSlot(sum, stamp)), now)
		switch {
		case stamp == 0:
			if v != absent {
				t.Fatalf("without a stamp: %x", v)
			}
		case !isPresent(v) || sumOf(v) != sum || stampOf(v) > now:
			t.Fatalf("sum %x, stamp %d at %d: %x", sum, stamp, now, v)
		case stamp >= firstStamp && stamp <= now && stampOf(v) != stamp:
			t.Fatalf("stamp %d became %d", stamp, stampOf(v))
		}
	})
	if isPresent(absent) || isPresent(busy) {
		t.Error("a block that is not there is present")
	}
}

func TestClock(t *testing.T) {
	now := time.Unix(1000, 0)
	c := clock{now: func() time.Time { return now }, step: 100}
	for _, step := range []struct {
		at   int64 // seconds since 1970
		n    int64 // bytes
		want uint32
	}{
		{1000, 99, 1000}, {1000, 1, 1001}, {1000, 99, 1001}, {1000, 1, 1002}, // ahead of the time
		{1001, 0, 1002}, {1003, 0, 1003}, // and caught up by it
		{900, 0, 1003}, // never back
		{0, 0, 1003},
	} {
		now = time.Unix(step.at, 0)
		if got := c.stamp(step.n); got != step.want {
			t.Errorf("%d bytes at %d: %d, want %d", step.n, step.at, got, step.want)
		}
	}
	c.latest.Store(1<<32 - 1)
	if got := c.stamp(100); got != 1<<32-1 {
		t.Errorf("after the last stamp comes %d", got)
	}
	first := clock{now: func() time.Time { return time.Unix(0, 0) }, step: 100}
	if got := first.stamp(0); got != firstStamp {
		t.Errorf("in 1970: %d", got)
	}
}

// oldestStamps finds what sorting finds.
func TestOldestStamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := &Store{blockSize: unit}
		stamp := rapid.OneOf(rapid.Uint32Range(firstStamp, 20), rapid.Uint32Min(firstStamp))
		var list []candidate
		var all []uint32
		for range rapid.IntRange(0, 4).Draw(t, "images") {
			c := store.newContents(identity{size: pageBlocks * unit}, image.Digest{})
			p := &page{}
			for i := range rapid.IntRange(0, pageBlocks).Draw(t, "blocks") {
				s := stamp.Draw(t, "stamp")
				p.slots[i].Store(makeSlot(7, s))
				all = append(all, s)
			}
			list = append(list, candidate{of: c, pages: []numbered{{p, 0}}})
		}
		if rapid.Bool().Draw(t, "lump") {
			s := stamp.Draw(t, "stamp of the lump")
			list = append(list, candidate{lump: true, stamp: s, charge: 3 * unit})
			all = append(all, s, s, s)
		}
		slices.Sort(all)
		need := rapid.Int64Range(1, 300).Draw(t, "need")
		got := oldestStamps(list, need*unit)
		if need > int64(len(all)) {
			if len(all) > 0 && got < all[len(all)-1] {
				t.Fatalf("stamp %d leaves blocks", got)
			}
		} else if want := all[need-1]; got != want {
			t.Fatalf("%d blocks of %v: stamp %d, want %d", need, all, got, want)
		}
	})
}
