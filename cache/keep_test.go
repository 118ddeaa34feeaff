package cache

import (
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Keep knows what is missing, and brings to the disk what is in memory only.
func TestKeep(t *testing.T) {
	const size = 10*unit + 100
	all := image.Span{Len: size}
	f := open(t, newCache(t, &service{}, 64*unit, 4), "a", size)
	expect(t, f, 0, 2*unit)
	if got := f.Keep(all); got != size-2*unit {
		t.Errorf("in memory: %d bytes are missing", got)
	}
	c := onDisk(t, &service{}, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
	f = open(t, c, "a", size)
	for range mostUnwritten { // the disk does not keep up: what is read is not written there
		c.unwritten <- struct{}{}
	}
	expect(t, f, 5, 2*unit)
	if f.of.onDisk(0) {
		t.Fatal("it is on the disk")
	}
	if got := f.Keep(all); got != size-3*unit || !f.of.onDisk(0) || !f.of.onDisk(2) {
		t.Errorf("%d bytes are missing", got)
	}
	for range mostUnwritten {
		<-c.unwritten
	}
}

func TestRoom(t *testing.T) {
	c := newCache(t, &service{}, 64*unit, 4)
	if got := c.Room(nil); got < 60*unit || got > 64*unit {
		t.Errorf("%d bytes of memory", got)
	}
	c = onDisk(t, &service{}, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
	if got := c.Room(nil); got < 900<<20 || got > 1<<30 {
		t.Errorf("%d bytes of a GiB of disk", got)
	}
}
