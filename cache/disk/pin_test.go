package disk

import (
	"bytes"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wholeImage writes a verified image.
func wholeImage(t *testing.T, s *Store, n byte, blocks int64) (picture, *Image) {
	t.Helper()
	p := draw(n, blocks*unit)
	i := p.in(s)
	p.write(i, 0, blocks)
	settle(t, s)
	return p, i
}

// What is pinned keeps its bytes, whatever needs room.
func TestPinnedIsNotEvicted(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 64 * unit
	s := openStore(t, o, d)
	p, i := wholeImage(t, s, 1, 40)
	f, release, ok := i.Pin()
	if !ok {
		t.Fatal("not pinned")
	}
	i.Close()
	d.pass(time.Minute)
	other := draw(2, 200*unit)
	j := other.in(s)
	defer j.Close()
	for range 3 {
		other.write(j, 0, 200)
		d.pass(pauseTime)
	}
	if got := s.Stats(); got.Bytes > o.Limit || got.Pinned != 1 {
		t.Errorf("%+v", got)
	}
	if n := other.read(t, j); n < 18 {
		t.Errorf("%d blocks found room beside what is pinned", n)
	}
	for n := range int64(100) { // and new ones find it instead of old ones
		other.write(j, n, n+1)
		if !j.Has(n) {
			t.Fatalf("block %d found no room", n)
		}
		d.pass(time.Second)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, p.img.Size))
	must(t, err)
	if !bytes.Equal(data, p.bytes) {
		t.Fatal("a pinned file has lost bytes")
	}
	i = p.in(s)
	p.want(t, i, 40)
	i.Close()

	release()
	release()
	if _, err := f.Stat(); err == nil {
		t.Error("released, and open")
	}
	d.pass(time.Minute)
	for n := range int64(200) {
		d.pass(time.Second)
		other.write(j, n, n+1)
	}
	i = p.in(s)
	defer i.Close()
	p.want(t, i, 0)
	if got := s.Stats(); got.Pinned != 0 || got.Bytes > o.Limit {
		t.Errorf("%+v", got)
	}
}

// Who has mapped a pinned file has it also when this process is gone: it never
// gets a hole, also not after a restart.
func TestPinnedOnceGoesWhole(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 64 * unit
	s := openStore(t, o, d)
	p, i := wholeImage(t, s, 1, 40)
	f, release, _ := i.Pin()
	mapping, err := s.root.Open(p.name() + dataSuffix) // stands for it
	must(t, err)
	defer mapping.Close()
	must(t, f.Sync())
	release()
	i.Close()
	for range 2 {
		must(t, s.Close())
		d.pass(time.Minute)
		s = openStore(t, o, d)
		other := draw(2, 60*unit)
		j := other.in(s)
		other.write(j, 0, 60)
		other.read(t, j)
		j.Close()
		data, err := io.ReadAll(io.NewSectionReader(mapping, 0, p.img.Size))
		must(t, err)
		if !bytes.Equal(data, p.bytes) {
			t.Fatal("a file that was handed out has a hole")
		}
	}
	i = p.in(s)
	defer i.Close()
	p.want(t, i, 0)
}

// Not even a block that is found damaged becomes a hole there, and its image is
// noted as not verified at once, should the next run not see it.
func TestDamageAfterPin(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	p, i := wholeImage(t, s, 1, 10)
	defer i.Close()
	if pinned(t, i) == nil {
		t.Fatal("not pinned")
	}
	data := path(o, p, dataSuffix)
	flip(t, data, 3*unit)
	p.want(t, i, 9)
	got, err := os.ReadFile(data)
	must(t, err)
	if bytes.Equal(got[3*unit:4*unit], make([]byte, unit)) {
		t.Error("a file that was handed out has a hole")
	}
	head, err := os.ReadFile(path(o, p, indexSuffix))
	must(t, err)
	if h, err := decode(head[:headerSize]); err != nil || h.Verified != nil || !h.Whole {
		t.Errorf("the header says %+v, %v", h, err)
	}
}

// Where the header cannot take back that the image has its hash, all of it goes.
func TestVerdictThatStays(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	s := openStore(t, o, d)
	p, i := wholeImage(t, s, 1, 10)
	defer i.Close()
	d.write = func(_ *os.File, b []byte, _ int64) error {
		if len(b) == headerSize {
			return unix.EIO
		}
		return nil
	}
	flip(t, path(o, p, dataSuffix), 0)
	p.want(t, i, 0)
	if got := s.Stats(); got.Bytes != 0 || got.Blocks != 0 {
		t.Errorf("%+v", got)
	}
}

// Reading a pinned file passes the cache by: being pinned, and released, is a use.
func TestPinIsUse(t *testing.T) {
	for _, when := range []string{"pin", "release"} {
		d := newFakeDisk()
		o := options(t.TempDir())
		o.Limit = 320 * unit
		s := openStore(t, o, d)
		p, i := wholeImage(t, s, 1, 40)
		_, release, _ := i.Pin()
		if when == "pin" {
			release()
		}
		d.pass(time.Minute)
		other, j := wholeImage(t, s, 2, 40)
		d.pass(time.Minute)
		if when == "pin" {
			_, release, _ = i.Pin()
			before := i.of.pages[0].slots[0].Load()
			if stampOf(before) != uint32(d.now.Unix()) {
				t.Error("pinned, and not used")
			}
		}
		d.pass(time.Minute)
		release()
		s.evict(10 * unit)
		p.want(t, i, 40)
		other.want(t, j, 30)
		i.Close()
		j.Close()
	}
}

// Dropping a pinned image takes the files away; their bytes count until they are
// released.
func TestDropPinned(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p, i := wholeImage(t, s, 1, 10)
	defer func() { i.Close() }()
	a, releaseA, _ := i.Pin()
	b, releaseB, _ := i.Pin()
	i.Drop()
	p.want(t, i, 0)
	i.Close()
	i = p.in(s)
	const whole = 10*unit + fileCharge
	if got := s.Stats(); got.Bytes != whole || got.Pinned != 2 || got.Blocks != 0 {
		t.Errorf("%+v", got)
	}
	p.write(i, 0, 10)
	settle(t, s)
	c, releaseC, ok := i.Pin()
	if !ok {
		t.Fatal("not pinned anew")
	}
	if got := s.Stats(); got.Bytes != 2*whole || got.Pinned != 3 {
		t.Errorf("%+v", got)
	}
	for _, f := range []io.ReaderAt{a, b, c} {
		data, err := io.ReadAll(io.NewSectionReader(f, 0, p.img.Size))
		must(t, err)
		if !bytes.Equal(data, p.bytes) {
			t.Error("a pinned file has lost bytes")
		}
	}
	releaseA()
	if got := s.Stats().Bytes; got != 2*whole {
		t.Errorf("%d bytes while one file is pinned", got)
	}
	releaseB()
	if got := s.Stats().Bytes; got != whole {
		t.Errorf("%d bytes after the release", got)
	}
	releaseC()
	p.want(t, i, 10)
}

// A block that is found damaged under a pin is repaired in its place, also the only one.
func TestDamageUnderPin(t *testing.T) {
	for _, blocks := range []int64{10, 1} {
		o := options(t.TempDir())
		s := openStore(t, o, nil)
		p, i := wholeImage(t, s, 1, blocks)
		f, release, _ := i.Pin()
		last := blocks - 1
		flip(t, path(o, p, dataSuffix), last*unit)
		p.want(t, i, last)
		if pinned(t, i) != nil {
			t.Error("pinned though a block is missing")
		}
		p.write(i, last, blocks)
		settle(t, s)
		if !bytes.Equal(pinned(t, i), p.bytes) {
			t.Error("not repaired")
		}
		data, err := io.ReadAll(f)
		must(t, err)
		if !bytes.Equal(data, p.bytes) {
			t.Errorf("of %d blocks: not repaired for who has it pinned", blocks)
		}
		release()
		i.Close()
	}
}

// Files that were removed under us are not handed out.
func TestPinOfRemovedFile(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	p, i := wholeImage(t, s, 1, 10)
	defer i.Close()
	must(t, i.of.removeFiles())
	if pinned(t, i) != nil {
		t.Fatal("pinned without a name")
	}
	p.write(i, 0, 10)
	settle(t, s)
	if !bytes.Equal(pinned(t, i), p.bytes) {
		t.Error("not begun anew")
	}
}

// A repair that fails makes no hole in what was handed out.
func TestRepairFailsUnderPin(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	s := openStore(t, o, d)
	p, i := wholeImage(t, s, 1, 10)
	defer i.Close()
	f, release, _ := i.Pin()
	defer release()
	flip(t, path(o, p, dataSuffix), 3*unit)
	p.want(t, i, 9)
	d.write = func(_ *os.File, b []byte, _ int64) error {
		if len(b) == slotSize {
			return unix.EIO
		}
		return nil
	}
	p.write(i, 3, 4)
	p.want(t, i, 9)
	data, err := io.ReadAll(f)
	must(t, err)
	if !bytes.Equal(data, p.bytes) { // its bytes were written, and are right
		t.Error("a file that was handed out has a hole")
	}
}

// Who asks for the file of an image that is not there whole does not wait for a write that the
// kernel does not answer.
func TestPinBesideHungWrite(t *testing.T) {
	d := newFakeDisk()
	asked, may := make(chan struct{}), make(chan struct{})
	d.write = func(_ *os.File, p []byte, _ int64) error {
		if len(p) == unit/2 { // the last block
			close(asked)
			<-may
		}
		return nil
	}
	s := openStore(t, options(t.TempDir()), d)
	p := draw(1, 4*unit+unit/2)
	i := p.in(s)
	defer i.Close()
	var writing sync.WaitGroup
	writing.Go(func() { p.write(i, 0, 5) })
	<-asked
	pinned := make(chan bool)
	go func() {
		_, _, ok := i.Pin()
		pinned <- ok
	}()
	select {
	case ok := <-pinned:
		if ok {
			t.Error("pinned, and a block is missing")
		}
		close(may)
	case <-time.After(time.Minute):
		t.Error("it waits for the write")
		close(may)
		<-pinned
	}
	writing.Wait()
}
