package cache

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// onDisk returns a cache over the directory; the end of the test closes both.
func onDisk(t testing.TB, v *service, dir string, memory int64, wrong func(image.Key)) *Cache {
	t.Helper()
	store, err := disk.Open(disk.Options{Dir: dir, Limit: 1 << 30, BlockSize: BlockSize, OnMismatch: wrong})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	c := New(Options{Memory: memory, Streams: 4, Source: v, Disk: store})
	t.Cleanup(c.Close)
	return c
}

// oneRun uses a cache over the directory and closes it again, as a mount does.
func oneRun(t *testing.T, v *service, dir string, use func(c *Cache)) {
	t.Helper()
	t.Run("run", func(t *testing.T) { use(onDisk(t, v, dir, 64*unit, nil)) })
}

func TestDiskServesTheNextRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	v := &service{}
	const size = 20*unit + 100
	oneRun(t, v, dir, func(c *Cache) { expect(t, open(t, c, "a", size), 0, size) })
	first := len(v.requests())
	oneRun(t, v, dir, func(c *Cache) {
		f := open(t, c, "a", size)
		expect(t, f, 0, size)             // whole blocks
		expect(t, f, unit+5, 2*unit)      // and parts
		expect(t, f, size-50, 500)        // the end
		f.Prefetch(image.Span{Len: size}) // nothing to fetch
		p := make([]byte, 3*unit)
		if n := f.Cached(p, 7); n != len(p) || !bytes.Equal(p, cachetest.Content("a", 7, int64(n))) {
			t.Errorf("%d bytes cached", n)
		}
		if !f.Has(image.Span{Off: 5, Len: size - 5}) {
			t.Error("what it has")
		}
		if s := c.Stats(); s.DiskHits == 0 || s.Misses != 0 {
			t.Errorf("%+v", s)
		}
	})
	if n := len(v.requests()); n != first {
		t.Errorf("%d requests in the second run", n-first)
	}
}

// What the disk has damaged is fetched again, be it read as a whole block, in part, in
// place or ahead.
func TestDamagedBlockIsFetchedAgain(t *testing.T) {
	const size = 8 * unit
	for name, read := range map[string]func(t *testing.T, f *File){
		"whole":    func(t *testing.T, f *File) { expect(t, f, 2*unit, 3*unit) },
		"part":     func(t *testing.T, f *File) { expect(t, f, 3*unit+10, 20) },
		"in place": func(t *testing.T, f *File) { expectView(t, f, 3*unit-10, unit+20) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			v := &service{}
			oneRun(t, v, dir, func(c *Cache) { expect(t, open(t, c, "a", size), 0, size) })
			before := len(v.requests())
			cachetest.Flip(t, dir, 3*unit+17)
			oneRun(t, v, dir, func(c *Cache) {
				f := open(t, c, "a", size)
				read(t, f)
				read(t, f) // it is there again
			})
			if got := v.requests()[before:]; len(got) != 1 || got[0] != (image.Span{Off: 3 * unit, Len: unit}) {
				t.Errorf("requests %v", got)
			}
		})
	}
}

// expectView reads in place and compares.
func expectView(t testing.TB, f *File, off, n int64) {
	t.Helper()
	v, err := f.View(t.Context(), off, n)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("view of %d at %d: %v", n, off, err)
	}
	defer v.Release()
	want := min(n, max(0, f.Size()-off))
	got := bytes.Join(v.Slices(), nil)
	if v.Len() != want || !bytes.Equal(got, cachetest.Content(f.of.id.key.ID, off, want)) || (err != nil) != (want < n) {
		t.Fatalf("view of %d at %d: %d bytes, %v, or wrong ones", n, off, v.Len(), err)
	}
}

// A stream through the cache keeps nothing in memory that the disk has; what is read
// in parts stays there.
func TestReadBlocksLeaveMemoryForTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	v := &service{}
	oneRun(t, v, dir, func(c *Cache) {
		f := open(t, c, "a", 100*unit)
		for off := int64(0); off < 40*unit; off += 4 * unit {
			expectView(t, f, off, 4*unit)
		}
		expect(t, f, 0, 10*unit) // from the disk
		c.wg.Wait()              // the last block may be on its way to the disk
		if s := c.Stats(); s.Blocks != 0 {
			t.Errorf("%d blocks in memory", s.Blocks)
		}
		expect(t, f, 50*unit, 10)
		expect(t, f, 7*unit, 10)
		if s := c.Stats(); s.Blocks != 2 {
			t.Errorf("%d blocks in memory", s.Blocks)
		}
		fetched := len(v.requests())
		expect(t, f, 50*unit+20, 10)
		expect(t, f, 7*unit+20, 10)
		if s := c.Stats(); s.Hits != 2 || len(v.requests()) != fetched {
			t.Errorf("%+v", s)
		}
	})
}

// The bytes of a whole image that do not have its hash are not served: not from the
// disk, not from memory, not to who has it open.
func TestWrongHash(t *testing.T) {
	const size = 6*unit + 1
	v := &service{}
	dropped := make(chan image.Key, 1)
	var c *Cache
	c = onDisk(t, v, filepath.Join(t.TempDir(), "cache"), 64*unit, func(k image.Key) { c.Drop(k); dropped <- k })
	img := record("a", size)
	img.HashValue = hex.EncodeToString(make([]byte, sha512.Size))
	f := c.Open(img.Key("s"), img)
	expect(t, f, 0, unit-1) // stays in memory
	expect(t, f, 0, size)
	if k := <-dropped; k != img.Key("s") {
		t.Errorf("dropped %v", k)
	}
	if _, err := f.ReadAt(t.Context(), make([]byte, 10), 0); !image.Is(err, image.Corrupt) {
		t.Errorf("reading wrong bytes: %v", err)
	}
	if _, err := f.View(t.Context(), 0, 10); !image.Is(err, image.Corrupt) {
		t.Errorf("reading wrong bytes in place: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again := len(v.requests())
	f = c.Open(img.Key("s"), img)
	defer f.Close()
	expect(t, f, 0, 10) // it is tried anew
	if len(v.requests()) == again {
		t.Error("served from the cache")
	}
}

func TestRightHash(t *testing.T) {
	const size = 6*unit + 1
	dir := filepath.Join(t.TempDir(), "cache")
	store, err := disk.Open(disk.Options{Dir: dir, Limit: 1 << 30, BlockSize: BlockSize, OnMismatch: func(k image.Key) { t.Errorf("dropped %v", k) }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := New(Options{Memory: 64 * unit, Streams: 4, Source: &service{}, Disk: store})
	defer c.Close()
	img := record("a", size)
	sum := sha512.Sum512(cachetest.Content("a", 0, size))
	img.HashValue = hex.EncodeToString(sum[:])
	f := c.Open(img.Key("s"), img)
	defer f.Close()
	expect(t, f, 0, size)
	i := store.Image(img.Key("s"), img)
	defer i.Close()
	for t.Context().Err() == nil { // it is verified in its own time, which the test's bounds
		if file, release, ok := i.Pin(); ok {
			got, err := io.ReadAll(file)
			release()
			if err != nil || !bytes.Equal(got, cachetest.Content("a", 0, size)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			return
		}
		runtime.Gosched()
	}
}

func TestViewBounds(t *testing.T) {
	c := newCache(t, &service{}, 64*unit, 4)
	f := open(t, c, "a", 10*unit+7)
	for _, r := range [][2]int64{{0, 1}, {0, 10*unit + 7}, {unit - 1, 2}, {3, 4 * unit}, {10 * unit, 8}, {10*unit + 7, 1}, {20 * unit, 5}, {5, 0}} {
		expectView(t, f, r[0], r[1])
	}
	for _, r := range [][2]int64{{-1, 1}, {0, MaxView + 1}} {
		if v, err := f.View(t.Context(), r[0], r[1]); v != nil || err == nil {
			t.Errorf("view of %d at %d: %v", r[1], r[0], err)
		}
	}
	v, err := f.View(t.Context(), 0, unit)
	if err != nil {
		t.Fatal(err)
	}
	v.Release()
	v.Release() // does nothing
}
