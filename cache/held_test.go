package cache

import (
	"path/filepath"
	"testing"
)

// held asks how much of an image is cached.
func held(c *Cache, id string, size int64) int64 {
	return c.Held().Of(record(id, size).Key("http://test"), size)
}

func TestHeldInMemory(t *testing.T) {
	const size = 10*unit + 100
	c := newCache(t, &service{}, 64*unit, 4)
	f := open(t, c, "a", size)
	for _, tc := range []struct{ off, n, want int64 }{
		{0, 0, 0},
		{unit + 5, 10, unit},
		{unit, unit, unit},
		{size - 50, 50, unit + 100},
		{0, size, size},
	} {
		expect(t, f, tc.off, tc.n)
		if got := held(c, "a", size); got != tc.want {
			t.Errorf("after %d bytes from %d: %d, want %d", tc.n, tc.off, got, tc.want)
		}
	}
	if got := held(c, "a", size+1); got != 0 {
		t.Errorf("another size: %d", got)
	}
	if got := held(c, "b", size); got != 0 {
		t.Errorf("another image: %d", got)
	}
}

// What is in memory and on disk counts once.
func TestHeldOnDisk(t *testing.T) {
	const size = 10*unit + 100
	dir, v := filepath.Join(t.TempDir(), "cache"), &service{}
	oneRun(t, v, dir, func(c *Cache) {
		f := open(t, c, "a", size)
		expect(t, f, 2*unit+1, 10)
		expect(t, f, size-10, 10)
		// A block on its way from memory to the disk may count in both.
		eventually(t, func() bool { return f.of.onDisk(2) && f.of.onDisk(10) })
		if got := held(c, "a", size); got != unit+100 {
			t.Errorf("%d", got)
		}
		expect(t, f, 0, size)
		eventually(t, func() bool { return c.disk.Held(record("a", size).Key("http://test"), size) == size })
		expect(t, f, 7, 3*unit) // parts come to memory again
		if got := held(c, "a", size); got != size {
			t.Errorf("all: %d", got)
		}
	})
	oneRun(t, v, dir, func(c *Cache) {
		if got := held(c, "a", size); got != size {
			t.Errorf("of an image that nobody has opened: %d", got)
		}
	})
}
