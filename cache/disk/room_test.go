package disk

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func TestLimit(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 64 * unit
	s := openStore(t, o, d)
	old, young := draw(1, 40*unit), draw(2, 100*unit+1)
	a, b := old.in(s), young.in(s)
	defer a.Close()
	defer b.Close()
	old.write(a, 0, 40)
	d.pass(time.Minute)
	for index := range young.blocks() {
		d.pass(time.Second)
		if index < 40 {
			a.Read(39, make([]byte, unit)) // in use, so it stays
		}
		b.Write(index, young.block(index))
		if !b.Has(index) {
			t.Fatalf("block %d is not there though it was just written", index)
		}
		if n := s.Stats().Bytes; n > o.Limit {
			t.Fatalf("%d bytes, the limit is %d", n, o.Limit)
		}
	}
	if n := old.read(t, a); n > 1 {
		t.Errorf("%d old blocks are left", n)
	}
	// At most what a sweep frees beyond the need is missing.
	if n := young.read(t, b); n < 64-2-2-2-1 {
		t.Errorf("%d young blocks are left", n)
	}
	if b.Has(0) || !b.Has(100) {
		t.Error("the oldest blocks stayed, or the youngest went")
	}
	if n := stored(t, o.Dir); n > o.Limit+2*chargeUnit {
		t.Errorf("%d bytes are on disk, the limit is %d", n, o.Limit)
	}
}

// The oldest go first, also where it takes some of the next.
func TestOldestFirst(t *testing.T) {
	for range 8 { // images come in random order
		d := newFakeDisk()
		s := openStore(t, options(t.TempDir()), d)
		old, young := draw(1, 10*unit), draw(2, 10*unit)
		a, b := old.in(s), young.in(s)
		old.write(a, 0, 9)
		d.pass(time.Second)
		young.write(b, 0, 9)
		c := b.of
		if freed := c.evictRun(numbered{c.pages[0], 0}, 0, uint32(d.now.Unix())-1, 5*unit); freed != 0 {
			t.Errorf("%d bytes went that were used meanwhile", freed)
		}
		s.evict(12 * unit)
		old.want(t, a, 0)
		young.want(t, b, 8) // and the files of the old one
		a.Close()
		b.Close()
	}
}

// An image that is evicted altogether leaves nothing behind.
func TestEvictedImageIsForgotten(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 32 * unit
	s := openStore(t, o, d)
	for n := range byte(100) { // tiny ones: their files count too
		p := draw(n, 1)
		i := p.in(s)
		p.write(i, 0, 1)
		p.want(t, i, 1)
		i.Close()
		d.pass(time.Second)
	}
	settle(t, s)
	got := s.Stats()
	if got.Images > 32/3 || got.Bytes > o.Limit {
		t.Errorf("%+v", got)
	}
	entries, err := os.ReadDir(o.Dir)
	must(t, err)
	if len(entries) != 2*got.Images+1 {
		t.Errorf("%d files of %d images", len(entries)-1, got.Images)
	}
}

// A limit that shrank is kept from the start; one that is too small for anything
// caches nothing.
func TestSmallerLimit(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	p := draw(1, 50*unit)
	i := p.in(s)
	p.write(i, 0, 50)
	i.Close()
	must(t, s.Close())
	for _, limit := range []int64{20 * unit, 3 * unit, unit - 1, 0, -1} {
		o.Limit = limit
		s = openStore(t, o, nil)
		i = p.in(s)
		p.write(i, 0, 50)
		if got := s.Stats(); got.Bytes > max(0, limit) {
			t.Errorf("%+v", got)
		}
		p.read(t, i)
		i.Close()
		must(t, s.Close())
	}
}

// A twentieth of the filesystem stays free, also when others fill it.
func TestFreeSpace(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 320 * unit
	s := openStore(t, o, d)
	p := draw(1, 200*unit)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 100)
	d.setFree(1<<20/20 + 10*unit) // room for ten
	s.measure()
	p.write(i, 100, 120)
	if got, most := s.Stats().Bytes, int64((100+2+10)*unit); got > most {
		t.Errorf("%d bytes, want %d at most", got, most)
	}
	p.read(t, i)

	p.read(t, i)
	d.setFree(1<<20/20 - 30*unit) // 30 too many
	before := s.Stats().Bytes
	s.measure()
	d.pass(pauseTime)
	p.write(i, 120, 121)
	if got := s.Stats().Bytes; got > before-30*unit {
		t.Errorf("%d bytes were %d, and 30 blocks too many", got, before)
	}
	p.read(t, i)

	d.setFree(0)
	d.total = 1 << 30 // even with nothing of ours too little would be free
	s.measure()
	p.write(i, 150, 160)
	if got := s.Stats().Bytes; got > 0 {
		t.Errorf("%d bytes on a full disk", got)
	}
	p.want(t, i, 0)
	d.setFree(1 << 20) // and free again
	p.write(i, 150, 160)
	p.want(t, i, 0) // not at once
	d.pass(pauseTime)
	p.write(i, 150, 160)
	p.want(t, i, 10)
}

// An error of the disk makes the cache smaller and takes a rest, once, however many
// writers meet it.
func TestFullDisk(t *testing.T) {
	for _, full := range []error{unix.ENOSPC, unix.EDQUOT} {
		d := newFakeDisk()
		var log journal
		o := options(t.TempDir())
		o.Limit, o.Logger = 320*unit, log.logger()
		s := openStore(t, o, d)
		p := draw(1, 300*unit)
		i := p.in(s)
		p.write(i, 0, 200)
		var mu sync.Mutex
		tries, failing := 0, true
		d.write = func(f *os.File, b []byte, _ int64) error {
			mu.Lock()
			defer mu.Unlock()
			if len(b) != unit || !failing {
				return nil
			}
			tries++
			return &os.PathError{Op: "write", Path: f.Name(), Err: full}
		}
		var wg sync.WaitGroup
		for n := range int64(8) {
			wg.Go(func() { p.write(i, 200+n*10, 210+n*10) })
		}
		wg.Wait()
		if tries > 8 {
			t.Errorf("%v: %d writes of 8 goroutines", full, tries)
		}
		p.want(t, i, 190) // a 32nd of the limit fewer
		if n := log.count("disk is full"); n != 1 {
			t.Errorf("%v: told %d times", full, n)
		}
		mu.Lock()
		failing = false
		mu.Unlock()
		p.write(i, 200, 300)
		p.want(t, i, 190)
		d.pass(pauseTime)
		p.write(i, 200, 300)
		p.want(t, i, 290)
		if got := s.Stats().Bytes; got != 292*unit {
			t.Errorf("%v: %d bytes count, want %d", full, got, 292*unit)
		}
		i.Close()
	}
}

// A pause does not become longer by a clock that is set back.
func TestClockSetBackInPause(t *testing.T) {
	d := newFakeDisk()
	s := openStore(t, options(t.TempDir()), d)
	p := draw(1, 10*unit)
	i := p.in(s)
	defer i.Close()
	d.write = func(*os.File, []byte, int64) error { return unix.EIO }
	p.write(i, 0, 1)
	d.write = nil
	p.write(i, 0, 10)
	p.want(t, i, 0)
	d.pass(-time.Hour)
	p.write(i, 0, 10)
	p.want(t, i, 10)
}

// Whatever step fails, what it leaves is counted right and read right.
func TestFailingSteps(t *testing.T) {
	for step := range 6 {
		d := newFakeDisk()
		o := options(t.TempDir())
		s := openStore(t, o, d)
		p := draw(1, 3*unit)
		i := p.in(s)
		n := 0
		d.write = func(*os.File, []byte, int64) error {
			n++
			if n == step+1 {
				return &os.PathError{Op: "write", Path: "x", Err: syscall.EIO}
			}
			return nil
		}
		p.write(i, 0, 3)
		if got, counted := stored(t, o.Dir), s.Stats().Bytes+chargeUnit; got > counted { // the lock is not counted
			t.Errorf("write %d failed: %d bytes are on disk, %d count", step, got, counted)
		}
		d.pass(pauseTime)
		p.write(i, 0, 3)
		p.want(t, i, 3)
		i.Close()
		settle(t, s)
		if got := s.Stats(); got.Bytes != 3*unit+fileCharge || got.Blocks != 3 {
			t.Errorf("write %d failed: %+v", step, got)
		}
		must(t, s.Close())
		s = openStore(t, o, nil)
		i = p.in(s)
		p.want(t, i, 3)
		i.Close()
	}
}

// On a filesystem without holes images go whole.
func TestNoHoles(t *testing.T) {
	d := newFakeDisk()
	d.punch = func(*os.File, int64, int64) error { return unix.EOPNOTSUPP }
	o := options(t.TempDir())
	o.Limit = 64 * unit
	s := openStore(t, o, d)
	for n := range byte(8) {
		p := draw(n, 20*unit)
		i := p.in(s)
		p.write(i, 0, 20)
		p.want(t, i, 20)
		i.Close()
		d.pass(time.Second)
		if got := stored(t, o.Dir); got > o.Limit+2*chargeUnit {
			t.Fatalf("%d bytes are on disk, the limit is %d", got, o.Limit)
		}
	}
	if got := s.Stats(); got.Bytes > o.Limit || got.Images != 2 {
		t.Errorf("%+v", got)
	}
}

// A directory that went away stops the cache, not the reader.
func TestDirectoryRemoved(t *testing.T) {
	o := options(t.TempDir() + "/cache")
	s := openStore(t, o, nil)
	p := draw(1, 3*unit)
	i := p.in(s)
	defer i.Close()
	must(t, os.RemoveAll(o.Dir))
	p.write(i, 0, 3)
	p.want(t, i, 0)
	if _, err := os.Stat(o.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// What Room names is kept, whatever was there before; what is pinned leaves less of it.
func TestRoom(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 640 * unit
	s := openStore(t, o, d)
	pinned, i := wholeImage(t, s, 1, 40)
	_, release, ok := i.Pin()
	if !ok {
		t.Fatal("not pinned")
	}
	defer release()
	i.Close()
	old := draw(2, 1000*unit)
	a := old.in(s)
	old.write(a, 0, 1000)
	a.Close()
	loaded := draw(3, 10_000*unit)
	room := s.Room(map[image.Key]bool{loaded.key(): true})
	if want := (640 - 40 - 20 - 2) * int64(unit); room != want {
		t.Errorf("room for %d bytes, want %d", room, want)
	}
	if got := s.Room(map[image.Key]bool{pinned.key(): true}); got != room+40*unit {
		t.Errorf("room for %d bytes of what is pinned itself", got)
	}
	d.pass(time.Minute)
	b := loaded.in(s)
	defer b.Close()
	loaded.write(b, 0, room/unit)
	if n := loaded.read(t, b); n != room/unit {
		t.Errorf("%d of %d blocks were kept", n, room/unit)
	}
}
