package cache

import (
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// ids are the images of maps, in their order.
func ids(maps []BlockMap) (all []string) {
	for _, m := range maps {
		all = append(all, m.Key.ID)
	}
	return all
}

func TestBlockMapOfAnImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 10*unit + 100
		arrives := make(gate)
		v := &service{read: arrives.at(7 * unit)}
		c := newCache(t, v, 64*unit, 2)
		f := open(t, c, "a", size)
		expect(t, f, 0, 2*unit)
		f.Prefetch(image.Span{Off: 7 * unit, Len: 2 * unit})
		f.Prefetch(image.Span{Off: 10 * unit, Len: unit}) // waits: half of the places are for prefetch
		synctest.Wait()

		maps := c.BlockMaps(8, 4)
		want := []BlockMap{{
			Key: f.of.id.key, Size: size, Files: 1, Used: time.Now(), Per: 3,
			Cells: []Cell{{Memory: 2}, {}, {InFlight: 2}, {}},
		}}
		if diff := cmp.Diff(want, maps); diff != "" {
			t.Error(diff)
		}
		close(arrives)
		synctest.Wait()
		if diff := cmp.Diff([]Cell{{Memory: 2}, {}, {Memory: 2}, {Memory: 1}}, c.BlockMaps(8, 4)[0].Cells); diff != "" {
			t.Error(diff)
		}
		if got := c.BlockMaps(8, 512)[0]; len(got.Cells) != 11 || got.Per != 1 {
			t.Errorf("%d cells of %d blocks", len(got.Cells), got.Per)
		}
	})
}

// A block that is in memory and on the disk counts once.
func TestBlockMapOnDisk(t *testing.T) {
	const size = 10*unit + 100
	dir, v := filepath.Join(t.TempDir(), "cache"), &service{}
	oneRun(t, v, dir, func(c *Cache) {
		f := open(t, c, "a", size)
		expect(t, f, 0, 5*unit)
		for f.Keep(image.Span{Len: 5 * unit}) > 0 { // blocks are written behind their reader
			time.Sleep(time.Millisecond)
		}
		expect(t, f, unit+7, 10) // a part, which comes to memory again
		if diff := cmp.Diff([]Cell{{Memory: 1, Disk: 3}, {Disk: 1}, {}}, c.BlockMaps(1, 3)[0].Cells); diff != "" {
			t.Error(diff)
		}
	})
	oneRun(t, v, dir, func(c *Cache) {
		maps := c.BlockMaps(1, 3)
		if len(maps) != 1 || maps[0].Files != 0 || maps[0].Used.IsZero() {
			t.Fatalf("of an image that nobody has opened: %+v", maps)
		}
		if diff := cmp.Diff([]Cell{{Disk: 4}, {Disk: 1}, {}}, maps[0].Cells); diff != "" {
			t.Error(diff)
		}
	})
}

// However many images there are, and however large the service says they are, an answer
// has a bound; what is open and what was used last comes first.
func TestBlockMapsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, &service{blank: true}, 64*unit, 2)
		for _, id := range []string{"old", "huge", "young", "empty"} {
			size := int64(4 * unit)
			switch id {
			case "huge":
				size = math.MaxInt64
			case "empty":
				size = 0
			}
			img := record(id, size)
			f := c.Open(img.Key("http://test"), img)
			if size > 0 {
				if _, err := f.ReadAt(t.Context(), make([]byte, 1), size-1); err != nil {
					t.Fatal(err)
				}
			}
			if id == "huge" {
				defer f.Close()
			} else {
				f.Close()
			}
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff([]string{"huge", "young", "old"}, ids(c.BlockMaps(8, 512))); diff != "" {
			t.Error(diff)
		}
		maps := c.BlockMaps(2, 512)
		if diff := cmp.Diff([]string{"huge", "young"}, ids(maps)); diff != "" {
			t.Error(diff)
		}
		cells := maps[0].Cells
		if n := len(cells); n > 512 || cells[n-1].Memory != 1 {
			t.Errorf("%d cells, the last %+v", n, cells[n-1])
		}
	})
}
