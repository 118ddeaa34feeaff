package disk

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestBlocksSurviveARestart(t *testing.T) {
	o := options(t.TempDir())
	for _, size := range []int64{1, unit - 1, unit, unit + 1, 200*unit + 5} {
		p := draw(1, size)
		s := openStore(t, o, nil)
		i := p.in(s)
		p.want(t, i, 0)
		p.write(i, 0, p.blocks())
		p.want(t, i, p.blocks())
		before := s.Stats()
		i.Close()
		must(t, s.Close())

		s = openStore(t, o, nil)
		if after := s.Stats(); after.Bytes != before.Bytes || after.Blocks != p.blocks() || after.Images != 1 {
			t.Errorf("%d bytes: %+v, before the restart %+v", size, after, before)
		}
		i = p.in(s)
		p.want(t, i, p.blocks())
		i.Drop()
		p.want(t, i, 0)
		i.Close()
		if after := s.Stats(); after.Bytes != 0 || after.Blocks != 0 || after.Images != 0 {
			t.Errorf("%d bytes: %+v after everything was dropped", size, after)
		}
		must(t, s.Close())
	}
}

// What is written twice is written once: the first bytes stay.
func TestFirstWriteStays(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p := draw(1, 2*unit)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 1)
	i.Write(0, draw(2, unit).bytes)
	p.want(t, i, 1)
}

func TestWhatIsNoBlock(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p := draw(1, 2*unit+7)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 3)
	for index, length := range map[int64]int{-1: unit, -64: unit, 3: unit, 1 << 62: unit, 0: unit - 1, 1: unit + 1, 2: unit} {
		i.Write(index, make([]byte, length))
		if (index < 0 || index > 2) && i.Has(index) || i.Read(index, make([]byte, length)) {
			t.Errorf("block %d of %d bytes is there", index, length)
		}
	}
	p.want(t, i, 3)
}

// A size that the peer made up takes no memory and no disk, and stops nobody else.
func TestHugeImages(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	o.Logger = log.logger()
	s := openStore(t, o, nil)
	for _, size := range []int64{0, -1, -1 << 62, 1<<63 - 1, 1 << 62} {
		img := image.Image{ID: "huge", Size: size}
		i := s.Image(img.Key(service), img)
		for _, index := range []int64{0, 1 << 40, size / unit} {
			i.Write(index, make([]byte, unit))
			if i.Has(index) || i.Read(index, make([]byte, unit)) {
				t.Errorf("block %d of %d bytes is there", index, size)
			}
		}
		if _, _, ok := i.Pin(); ok || i.Bad() {
			t.Errorf("an image of %d bytes is whole", size)
		}
		i.Drop()
		i.Close()
	}
	// As large as the filesystem allows, the last block is as cheap as the first.
	const size = 1 << 43
	img := image.Image{ID: "large", Size: size}
	i := s.Image(img.Key(service), img)
	block := bytes.Repeat([]byte("x"), unit)
	for _, index := range []int64{0, size/unit - 1, size / unit / 2} {
		i.Write(index, block)
		if !i.Read(index, make([]byte, unit)) {
			t.Errorf("block %d of 8 TiB is not there", index)
		}
	}
	i.Close()
	must(t, s.Close())
	if n := stored(t, o.Dir); n > 256<<10 {
		t.Errorf("3 blocks take %d bytes", n)
	}
	s = openStore(t, o, nil)
	if s.Stats().Blocks != 3 {
		t.Errorf("%d blocks after a restart", s.Stats().Blocks)
	}
	if log.count("cannot hold a file of its size") != 2 {
		t.Error("images of impossible sizes are not told once each")
	}
	p := draw(1, unit)
	i = p.in(s)
	defer i.Close()
	p.write(i, 0, 1)
	p.want(t, i, 1)
}

// Keys that no header can hold are not cached, and do no harm.
func TestImpossibleKeys(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	for _, id := range []string{"\xff", string(make([]byte, headerSize)), "../../x"} {
		img := image.Image{ID: id, Size: unit}
		i := s.Image(img.Key(service), img)
		i.Write(0, make([]byte, unit))
		if got, want := i.Has(0), id == "../../x"; got != want {
			t.Errorf("%.10q: cached %v", id, got)
		}
		i.Close()
	}
}

func TestReferencesShareBlocks(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p := draw(1, 4*unit)
	a, b := p.in(s), p.in(s)
	p.write(a, 0, 4)
	p.want(t, b, 4)
	a.Close()
	a.Close()
	p.want(t, a, 0) // closed
	p.want(t, b, 4)
	a.Drop()
	p.want(t, b, 4)
	b.Close()
	b = p.in(s)
	defer b.Close()
	p.want(t, b, 4)
	other := p
	other.img.Size = 3 * unit // another image, though it has the same key
	c := other.in(s)
	defer c.Close()
	if c.Has(0) {
		t.Error("an image has blocks of one of another size")
	}
	must(t, s.Close())
	p.want(t, b, 0)
	p.write(b, 0, 4)
	b.Drop()
	if _, _, ok := b.Pin(); ok {
		t.Error("a closed store pins")
	}
}

// What was under way when the end came does no harm.
func TestLateCalls(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	o.Logger = log.logger()
	s := openStore(t, o, nil)
	p, q := draw(1, 4*unit), draw(2, unit)
	i, j := p.in(s), q.in(s)
	j.Close()
	j.of.write(0, q.block(0), 0)
	if j.of.onDisk.Load() {
		t.Error("files of an image that the store has forgotten")
	}
	p.write(i, 0, 4)
	settle(t, s)
	must(t, s.Close())
	i.of.evictWhole(1<<32 - 1)
	i.of.write(0, p.block(0), 0)
	i.Close()
	if log.count("level=ERROR") > 0 {
		t.Errorf("the log has %s", log.text.String())
	}
	s = openStore(t, o, nil)
	i = p.in(s)
	defer i.Close()
	p.want(t, i, 4)
}

// Has does not wait for the disk, whatever holds it up.
func TestHasDoesNotWait(t *testing.T) {
	for _, what := range []string{"write", "punch"} {
		t.Run(what, func(t *testing.T) {
			d := newFakeDisk()
			s := openStore(t, options(t.TempDir()), d)
			p := draw(1, 64*unit)
			i := p.in(s)
			defer i.Close()
			p.write(i, 0, 10)
			reached, release := make(chan struct{}), make(chan struct{})
			stop := sync.OnceFunc(func() { close(reached); <-release })
			var wg sync.WaitGroup
			if what == "write" {
				d.write = func(*os.File, []byte, int64) error { stop(); return nil }
				wg.Go(func() { p.write(i, 10, 11) })
			} else {
				d.punch = func(*os.File, int64, int64) error { stop(); return nil }
				wg.Go(s.shrink)
			}
			<-reached
			if i.Has(20) || what == "write" && !i.Has(0) {
				t.Error("Has is wrong while the disk does not answer")
			}
			_, _ = i.Bad(), s.Stats()
			close(release)
			wg.Wait()
		})
	}
}

// Many images at once keep few files open, and lose nothing.
func TestOpenFilesAreBounded(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, newFakeDisk())
	const images = 3 * maxOpen
	open := func() int {
		t.Helper()
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	before := open()
	var pictures []picture
	var refs []*Image
	for n := range images {
		p := draw(byte(n), 2*unit)
		pictures, refs = append(pictures, p), append(refs, p.in(s))
		p.write(refs[n], 0, 1)
		if n := open() - before; n > 2*maxOpen {
			t.Fatalf("%d files are open", n)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n, p := range pictures {
				p.write(refs[n], 1, 2)
				p.read(t, refs[n])
			}
		})
	}
	wg.Wait()
	for n, p := range pictures {
		p.want(t, refs[n], 2)
		refs[n].Close()
	}
	settle(t, s)
	if n := open() - before; n > 2*maxOpen {
		t.Errorf("%d files are open", n)
	}
	must(t, s.Close())
	if n := open() - before; n > 0 {
		t.Errorf("%d files stay open", n)
	}
	s = openStore(t, o, nil)
	for _, p := range pictures {
		i := p.in(s)
		p.want(t, i, 2)
		i.Close()
	}
}

// The order of use survives a restart.
func TestStampsSurviveARestart(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 128 * unit
	s := openStore(t, o, d)
	p := draw(1, 100*unit)
	i := p.in(s)
	p.write(i, 0, 100)
	d.pass(time.Hour)
	for index := range int64(40) {
		i.Read(index, make([]byte, unit))
	}
	i.Close()
	must(t, s.Close())

	s = openStore(t, o, d)
	s.room.ceiling.Store(50 * unit)
	if !s.makeRoom(0) {
		t.Fatal("no room")
	}
	i = p.in(s)
	defer i.Close()
	for index := range int64(40) {
		if !i.Has(index) {
			t.Fatalf("block %d was used last and is gone", index)
		}
	}
	if s.Stats().Evicted < 50 {
		t.Errorf("%+v", s.Stats())
	}
	p.read(t, i)
}
