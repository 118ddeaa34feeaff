package cache

import (
	"encoding/hex"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
)

// wantCorrupt reads a file whose image has turned out to be wrong.
func wantCorrupt(t *testing.T, f *File) {
	t.Helper()
	if n, err := f.ReadAt(t.Context(), make([]byte, 10), 0); n != 0 || !image.Is(err, image.Corrupt) {
		t.Errorf("reading wrong bytes: %d, %v", n, err)
	}
	if _, err := f.View(t.Context(), 0, 10); !image.Is(err, image.Corrupt) {
		t.Errorf("reading wrong bytes in place: %v", err)
	}
	if n := f.Cached(make([]byte, 10), 0); n != 0 || f.Has(image.Span{Len: 1}) || f.Wrong() == nil {
		t.Errorf("%d wrong bytes are cached", n)
	}
}

// Who has an image open whose bytes have turned out to be wrong gets errors, who waits
// for them too. Who opens it then gets what comes anew, and none of what was on its way.
func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 20 * unit
		stall := make(gate)
		v := &service{read: stall.at(10 * unit)}
		c := newCache(t, v, 64*unit, 4)
		old := open(t, c, "a", size)
		expect(t, old, 0, 3*unit)
		waits := make(chan error)
		go func() {
			_, err := old.ReadAt(t.Context(), make([]byte, unit), 12*unit)
			waits <- err
		}()
		synctest.Wait()
		c.Drop(old.of.id.key)
		if err := <-waits; !image.Is(err, image.Corrupt) {
			t.Errorf("waiting for wrong bytes: %v", err)
		}
		close(stall)
		wantCorrupt(t, old)
		before := len(v.requests())
		f := open(t, c, "a", size)
		expect(t, f, 0, size)
		if len(v.requests()) == before {
			t.Error("served from the cache")
		}
		old.Add(0, make([]byte, unit)) // a stream that has not noticed
		wantCorrupt(t, old)
		expect(t, f, 0, unit)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		expect(t, f, 0, size)
		if s := c.Stats(); s.Images != 1 || s.Blocks > 20 {
			t.Errorf("%+v", s)
		}
	})
}

// An image of which a whole copy did not have its hash is read anew by who opens it
// next, also where somebody still has it open, and memory has blocks of it.
func TestWrongHashForOthers(t *testing.T) {
	const size = 6*unit + 1
	v := &service{}
	dropped := make(chan image.Key, 1)
	var c *Cache
	c = onDisk(t, v, filepath.Join(t.TempDir(), "cache"), 64*unit, func(k image.Key) { c.Drop(k); dropped <- k })
	img := record("a", size)
	img.HashValue = hex.EncodeToString(make([]byte, 64))
	for range 3 {
		f := c.Open(img.Key("s"), img)
		defer f.Close() // it stays open meanwhile
		expect(t, f, 0, unit-1)
		expect(t, f, 0, size)
		<-dropped
		wantCorrupt(t, f)
	}
}
