package cache

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
)

// What readers got is counted once, by where it was.
func TestBytesBySource(t *testing.T) {
	const size = 4*unit + 10
	dir := filepath.Join(t.TempDir(), "cache")
	oneRun(t, &service{}, dir, func(c *Cache) {
		f := open(t, c, "a", size)
		expect(t, f, 5, unit) // two blocks, none of which is there
		if s := c.Stats(); s.FromService != unit || s.FromMemory+s.FromDisk != 0 {
			t.Errorf("waited for: %+v", s)
		}
		expect(t, f, 0, size)
		if s := c.Stats(); s.FromMemory+s.FromDisk != 2*unit || s.FromService != unit+size-2*unit {
			t.Errorf("after that: %+v", s)
		}
		f.Streamed(7)
		if s := c.Stats(); s.FromService != unit+size-2*unit+7 {
			t.Errorf("beside a stream: %+v", s)
		}
	})
	oneRun(t, &service{}, dir, func(c *Cache) {
		f := open(t, c, "a", size)
		expect(t, f, 0, size)
		v, err := f.View(t.Context(), unit+1, unit)
		if err != nil {
			t.Fatal(err)
		}
		v.Release()
		if n := f.Cached(make([]byte, 9), 2*unit+3); n != 9 { // the view has brought the block to memory
			t.Errorf("%d bytes cached", n)
		}
		if s := c.Stats(); s.FromDisk != size+unit || s.FromMemory != 9 || s.FromService != 0 {
			t.Errorf("from the disk: %+v", s)
		}
	})
}

// What is fetched ahead is wasted where it leaves memory before anybody has read it.
func TestWastedPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, &service{}, 8*(unit+blockOverhead), 2)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Len: 4 * unit})
		synctest.Wait()
		expect(t, f, 0, unit)
		if s := c.Stats(); s.Ahead != 4*unit || s.Wasted != 0 || s.Evicted != 0 {
			t.Errorf("fetched ahead: %+v", s)
		}
		expect(t, f, 100*unit, 8*unit) // pushes them out of memory
		synctest.Wait()
		if s := c.Stats(); s.Ahead != 4*unit || s.Wasted != 3*unit || s.Evicted != 4 {
			t.Errorf("pushed out: %+v", s)
		}
		expect(t, f, 100*unit, 8*unit)
		if s := c.Stats(); s.FromMemory != 9*unit || s.Wasted != 3*unit {
			t.Errorf("read again: %+v", s)
		}
	})
}
