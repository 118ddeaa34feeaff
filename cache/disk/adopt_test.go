package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// lend writes bytes to a file beside the cache and returns it open.
func lend(t *testing.T, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "lent"))
	must(t, err)
	_, err = f.Write(data)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return f
}

// elsewhere is lend on another filesystem.
func elsewhere(t *testing.T, data []byte) *os.File {
	t.Helper()
	memory, err := unix.MemfdCreate("memory", 0)
	must(t, err)
	f := os.NewFile(uintptr(memory), "memory")
	t.Cleanup(func() { must(t, f.Close()) })
	_, err = f.Write(data)
	must(t, err)
	return f
}

// A file that is adopted has all blocks, is verified, and needs neither its first name
// nor room for a copy, also after a restart.
func TestAdopt(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	p := draw(1, 40*unit+5)
	i := p.in(s)
	f := lend(t, p.bytes)
	begin, err := i.Adopt(f)
	must(t, err)
	must(t, os.Remove(f.Name()))
	if s.Stats().Queued != 0 || i.Has(0) {
		t.Error("it begins before it may")
	}
	begin()
	settle(t, s)
	p.want(t, i, p.blocks())
	if got := s.Stats(); got.Verified != 1 || got.Written != 0 || !bytes.Equal(pinned(t, i), p.bytes) {
		t.Errorf("not verified, or copied: %+v", got)
	}
	i.Close()
	used := s.Stats().Bytes
	must(t, s.Close())
	s = openStore(t, o, nil)
	i = p.in(s)
	defer i.Close()
	p.want(t, i, p.blocks())
	if got := s.Stats(); got.Bytes != used || pinned(t, i) == nil {
		t.Errorf("after a restart: %+v", got)
	}
}

// What cannot be adopted is refused, and nothing of it is left.
func TestAdoptRefuses(t *testing.T) {
	o := options(t.TempDir())
	o.Limit = 100 * unit
	s := openStore(t, o, nil)
	refuse := func(what string, p picture, f *os.File) {
		t.Helper()
		i := p.in(s)
		defer i.Close()
		if _, err := i.Adopt(f); err == nil {
			t.Errorf("%s is adopted", what)
		}
	}
	p := draw(1, 10*unit)
	refuse("a file of another size", p, lend(t, p.bytes[1:]))
	large := draw(2, 60*unit)
	refuse("most of the cache", large, lend(t, large.bytes))
	none := draw(3, 10*unit)
	none.img.HashAlgo = ""
	refuse("an image without a hash", none, lend(t, none.bytes))
	full, f := wholeImage(t, s, 4, 95)
	defer f.Close()
	refuse("a file of another filesystem", p, elsewhere(t, p.bytes))
	nameless, err := unix.Open(o.Dir, unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR, 0o600)
	must(t, err)
	unlinkable := os.NewFile(uintptr(nameless), "unlinkable")
	defer unlinkable.Close()
	_, err = unlinkable.Write(p.bytes)
	must(t, err)
	refuse("a file that cannot be linked", p, unlinkable)
	full.want(t, f, 95) // nothing goes for what is not taken
	f.Drop()
	if files, err := filepath.Glob(filepath.Join(o.Dir, "*-*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}

	i := p.in(s)
	defer i.Close()
	p.write(i, 3, 4)
	refuse("an image with blocks", p, lend(t, p.bytes))
	p.want(t, i, 1)
}

// Who has a file on another filesystem does not wait for this one, which cannot have it.
func TestAdoptBesideHungDisk(t *testing.T) {
	d := newFakeDisk()
	s := openStore(t, options(t.TempDir()), d)
	full := draw(1, 50*unit)
	i := full.in(s)
	defer i.Close()
	full.write(i, 0, 50)
	asked, may := make(chan struct{}), make(chan struct{})
	d.punch = func(*os.File, int64, int64) error {
		close(asked)
		<-may
		return nil
	}
	var running sync.WaitGroup
	running.Go(func() { s.evict(unit) })
	<-asked
	p := draw(2, 10*unit)
	j := p.in(s)
	defer j.Close()
	f, refused := elsewhere(t, p.bytes), make(chan error, 1)
	running.Go(func() {
		_, err := j.Adopt(f)
		refused <- err
	})
	select {
	case err := <-refused:
		if err == nil {
			t.Error("adopted")
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the disk")
	}
	close(may)
	running.Wait()
}

// Files that wait to be looked at count from the start, and make room as blocks do: the
// last used stay.
func TestAdoptTakesRoom(t *testing.T) {
	o := options(t.TempDir())
	o.Limit = 44 * unit
	d := newFakeDisk()
	s := openStore(t, o, d)
	var begins []func()
	var pictures []picture
	for n := range byte(8) {
		d.pass(time.Second)
		p := draw(n, 10*unit-5)
		i := p.in(s)
		begin, err := i.Adopt(lend(t, p.bytes))
		must(t, err)
		i.Close()
		if on := stored(t, o.Dir); on > o.Limit+chargeUnit { // the lock is not counted
			t.Fatalf("%d bytes are on disk, the limit is %d", on, o.Limit)
		}
		begins, pictures = append(begins, begin), append(pictures, p)
	}
	for _, begin := range begins {
		begin()
	}
	settle(t, s)
	for n, p := range pictures {
		i := p.in(s)
		blocks := p.blocks()
		if n < len(pictures)-3 {
			blocks = 0
		}
		p.want(t, i, blocks)
		i.Drop()
		i.Close()
	}
	if got := s.Stats(); got.Bytes != 0 || got.Verified != 3 {
		t.Errorf("%+v", got)
	}
}

// A file for which there is no room is not adopted, and nothing goes for it.
func TestAdoptWithoutRoom(t *testing.T) {
	o := options(t.TempDir())
	o.Limit = 64 * unit
	s := openStore(t, o, nil)
	_, i := wholeImage(t, s, 1, 40)
	defer i.Close()
	_, release, ok := i.Pin()
	if !ok {
		t.Fatal("not pinned")
	}
	defer release()
	part := draw(2, 10*unit)
	j := part.in(s)
	defer j.Close()
	part.write(j, 0, 5)
	p := draw(3, 21*unit)
	k := p.in(s)
	defer k.Close()
	if _, err := k.Adopt(lend(t, p.bytes)); !errors.Is(err, errNoRoom) {
		t.Errorf("%v", err)
	}
	part.want(t, j, 5)
	part.write(j, 5, 10)
	part.want(t, j, 10)
}

// Bytes that are not the image's do not become it.
func TestAdoptWrongBytes(t *testing.T) {
	o := options(t.TempDir())
	wrong := 0
	o.OnMismatch = func(image.Key) { wrong++ }
	s := openStore(t, o, nil)
	p := draw(1, 10*unit)
	i := p.in(s)
	other := bytes.Clone(p.bytes)
	other[5000] ^= 1
	begin, err := i.Adopt(lend(t, other))
	must(t, err)
	begin()
	settle(t, s)
	if wrong != 1 || i.Has(0) {
		t.Errorf("%d mismatches, block 0 is there: %v", wrong, i.Has(0))
	}
	i.Close()
}

// An image that loses blocks while it is adopted is dropped: what is a hole by then
// never counts as a block. A reader's own blocks in between are right.
func TestAdoptEvicted(t *testing.T) {
	for _, drop := range []bool{true, false} {
		o, d := options(t.TempDir()), newFakeDisk()
		p := draw(1, 30*unit)
		stamps, reached, goOn := 0, make(chan struct{}), make(chan struct{})
		d.write = func(f *os.File, _ []byte, off int64) error {
			if strings.HasSuffix(f.Name(), indexSuffix) && off >= slotAt(0) {
				if stamps++; stamps == 10 {
					close(reached)
					<-goOn
				}
			}
			return nil
		}
		s := openStore(t, o, d)
		i := p.in(s)
		begin, err := i.Adopt(lend(t, p.bytes))
		must(t, err)
		begin()
		<-reached
		dropped := make(chan struct{})
		go func() {
			defer close(dropped)
			if drop {
				i.Drop()
			} else {
				s.shrink()
			}
		}()
		close(goOn)
		<-dropped
		settle(t, s)
		i.Close()
		i = p.in(s)
		if n := p.read(t, i); n != 0 && n != p.blocks() {
			t.Errorf("%d blocks are left", n)
		}
		p.write(i, 0, p.blocks())
		p.want(t, i, p.blocks())
		i.Close()
	}
}

// An adoption that the process does not live to finish leaves nothing that takes room.
func TestAdoptInterrupted(t *testing.T) {
	for _, begun := range []bool{false, true} {
		o, d := options(t.TempDir()), newFakeDisk()
		p := draw(1, 3<<20)
		stamps := 0
		var s *Store
		reached := make(chan struct{})
		d.write = func(f *os.File, _ []byte, off int64) error {
			if strings.HasSuffix(f.Name(), indexSuffix) && off >= slotAt(0) {
				if stamps++; stamps == 10 {
					close(reached)
					for !s.closed.Load() { // it notices the end before the next block
						runtime.Gosched()
					}
				}
			}
			return nil
		}
		s = openStore(t, o, d)
		i := p.in(s)
		begin, err := i.Adopt(lend(t, p.bytes))
		must(t, err)
		if begun {
			begin()
			<-reached
		}
		must(t, s.Close())
		if stored(t, o.Dir) < p.img.Size {
			t.Fatal("there is nothing to take back")
		}
		s = openStore(t, o, nil)
		if got := s.Stats(); got.Images != 0 || stored(t, o.Dir) > 64<<10 {
			t.Errorf("begun: %v: left behind: %+v, %d bytes", begun, got, stored(t, o.Dir))
		}
		i.Close()
		must(t, s.Close())
	}
}
