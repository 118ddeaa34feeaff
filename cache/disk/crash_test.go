package disk

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// subjects are the images of the crash tests.
func subjects() []picture { return []picture{draw(1, 6*unit+5), draw(2, 15*unit)} }

// work is what the crash tests interrupt: two images written and read, one of them
// whole, with too little room for both, and what that evicts.
func work(t tester, o Options, d *fakeDisk) {
	t.Helper()
	pictures := subjects()
	for range 2 {
		s, err := open(o, d.system())
		must(t, err)
		a, b := pictures[0].in(s), pictures[1].in(s)
		pictures[0].write(a, 0, 7)
		settle(t, s) // so that one goroutine at a time is at work
		d.pass(time.Second)
		pictures[1].write(b, 2, 12)
		d.pass(time.Second)
		pictures[0].read(t, a)
		pictures[1].write(b, 10, 15)
		if f, release, ok := a.Pin(); ok {
			_, _ = io.Copy(io.Discard, f) // as a reader would
			release()
		}
		a.Drop()
		a.Close()
		a = pictures[0].in(s)
		pictures[0].write(a, 0, 2)
		a.Close()
		b.Close()
		must(t, s.Close())
	}
}

// copyDir copies what a directory holds now.
func copyDir(t tester, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	must(t, err)
	for _, e := range entries {
		p, err := os.ReadFile(filepath.Join(from, e.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, e.Name()), p, 0o600))
	}
}

// survey opens a directory that a crash left and reads everything, twice, since
// the first reading drops what is damaged; each block must be absent or right. It
// returns how many blocks are left.
func survey(t tester, o Options, pictures []picture) (found int64) {
	t.Helper()
	s, err := open(o, newFakeDisk().system())
	must(t, err)
	for _, p := range pictures {
		i := p.in(s)
		p.read(t, i)
		found += p.read(t, i)
		p.write(i, 0, p.blocks())
		p.read(t, i)
		i.Close()
	}
	if got := s.Stats(); got.Bytes > o.Limit {
		t.Errorf("%+v", got)
	}
	must(t, s.Close())
	return found
}

// A kill at any step, also in the middle of one, leaves every block absent or
// right, and nothing that looks damaged.
func TestKill(t *testing.T) {
	o := options(t.TempDir())
	o.Limit = 20 * unit
	d := newFakeDisk()
	var log journal
	steps, most := 0, int64(0)
	snapshot := func() {
		steps++
		dead := o
		dead.Dir = filepath.Join(t.TempDir(), "dead")
		dead.Logger = log.logger()
		must(t, os.Mkdir(dead.Dir, 0o700))
		copyDir(t, o.Dir, dead.Dir)
		most = max(most, survey(t, dead, subjects()))
		must(t, os.RemoveAll(dead.Dir))
	}
	real := realSystem()
	d.write = func(f *os.File, p []byte, off int64) error {
		snapshot()
		half := len(p) / 2 / slotSize * slotSize // no slot is ever half written
		must(t, real.write(f, p[:half], off))
		if half > 0 {
			snapshot()
		}
		return nil
	}
	d.punch = func(*os.File, int64, int64) error { snapshot(); return nil }
	work(t, o, d)
	snapshot()
	if steps < 100 || most < 14 {
		t.Errorf("%d steps, never more than %d blocks are left: the test has lost its subject", steps, most)
	}
	if n := log.count("damaged; fetched again"); n > 0 {
		t.Errorf("%d blocks look damaged after a kill", n)
	}
}

// step is one change of a file, as a disk may have it or not when the power fails.
type step struct {
	file string
	off  int64
	data []byte
	hole int64
}

// After a power loss, whatever part of the steps reached the disk, every block is
// absent or right, and no image is pinned that is not whole.
func TestPowerLoss(t *testing.T) {
	o := options(t.TempDir())
	o.Limit = 20 * unit
	d := newFakeDisk()
	var steps []step
	d.write = func(f *os.File, p []byte, off int64) error {
		steps = append(steps, step{file: filepath.Base(f.Name()), off: off, data: append([]byte(nil), p...)})
		return nil
	}
	d.punch = func(f *os.File, off, n int64) error {
		steps = append(steps, step{file: filepath.Base(f.Name()), off: off, hole: n})
		return nil
	}
	work(t, o, d)
	pictures := subjects()
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string][]byte{}
		grow := func(name string, n int64) {
			if have := int64(len(files[name])); have < n {
				files[name] = append(files[name], make([]byte, n-have)...)
			}
		}
		for _, p := range pictures {
			grow(p.name()+dataSuffix, p.img.Size)
		}
		until := rapid.IntRange(0, len(steps)).Draw(rt, "until")
		lost := rapid.SampledFrom([]int{0, 1, 5, 50}).Draw(rt, "percent lost")
		for _, each := range steps[:until] {
			fate := rapid.IntRange(0, 99).Draw(rt, "fate")
			if fate < lost/2 {
				continue
			}
			if each.hole > 0 {
				end := min(each.off+each.hole, int64(len(files[each.file])))
				clear(files[each.file][each.off:end])
				continue
			}
			data := each.data
			if fate < lost { // torn
				data = data[:rapid.IntRange(0, len(data)).Draw(rt, "torn")]
			}
			if strings.HasSuffix(each.file, indexSuffix) {
				grow(each.file, each.off+int64(len(data)))
			}
			copy(files[each.file][each.off:], data)
		}
		dead := o
		dead.Dir = t.TempDir()
		must(rt, os.Chmod(dead.Dir, 0o700))
		for name, data := range files {
			must(rt, os.WriteFile(filepath.Join(dead.Dir, name), data, 0o600))
		}
		s, err := Open(dead)
		must(rt, err)
		for _, p := range pictures {
			i := p.in(s)
			if f, release, ok := i.Pin(); ok { // the verifier was faster
				data, err := io.ReadAll(f)
				must(rt, err)
				if !bytes.Equal(data, p.bytes) {
					rt.Fatal("an image is pinned that is not whole")
				}
				release()
			}
			i.Close()
		}
		must(rt, s.Close())
		survey(rt, dead, pictures)
		must(rt, os.RemoveAll(dead.Dir))
	})
}
