package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a store in random use beside what may be in it.
type model struct {
	dir   string
	o     Options
	disk  *fakeDisk
	store *Store

	pictures []picture
	refs     []*Image         // one for each picture, nil while closed
	written  []map[int64]bool // blocks that may be there: written and not dropped since
	pins     []modelPin
	begin    []func() // of files that were adopted
	cut      bool     // files were removed or cut since the store was opened
}

type modelPin struct {
	of      picture
	file    *os.File
	release func()
}

func (m *model) open(t *rapid.T) {
	s, err := open(m.o, m.disk.system())
	must(t, err)
	m.store = s
}

// choose returns the place of an image, with a reference to it.
func (m *model) choose(t *rapid.T) int {
	n := rapid.IntRange(0, len(m.pictures)-1).Draw(t, "image")
	if m.refs[n] == nil {
		m.refs[n] = m.pictures[n].in(m.store)
	}
	return n
}

// block returns an index and the bytes of that block.
func (m *model) block(t *rapid.T, n int) (int64, []byte) {
	index := rapid.Int64Range(0, m.pictures[n].blocks()-1).Draw(t, "block")
	return index, m.pictures[n].block(index)
}

func (m *model) closeRefs() {
	for n, i := range m.refs {
		if i != nil {
			i.Close()
			m.refs[n] = nil
		}
	}
}

func (m *model) beginAdopted(t *rapid.T) {
	for _, begin := range m.begin {
		begin()
	}
	m.begin = nil
	settle(t, m.store)
}

func (m *model) releasePins() {
	for _, p := range m.pins {
		p.release()
	}
	m.pins = nil
}

// check holds the store's figures against what can be seen.
func (m *model) check(t *rapid.T) {
	settle(t, m.store)
	got := m.store.Stats()
	if got.Bytes > m.o.Limit || got.Mismatched > 0 || got.Pinned != int64(len(m.pins)) {
		t.Fatalf("%+v", got)
	}
	blocks, charge := int64(0), int64(0)
	for n, p := range m.pictures {
		i := p.in(m.store)
		for index := range p.blocks() {
			if i.Has(index) {
				blocks++
				charge += i.of.charge(index)
				if !m.written[n][index] {
					t.Fatalf("block %d of image %d is there and was never written", index, n)
				}
			}
		}
		if i.of.onDisk.Load() {
			charge += fileCharge
		}
		if a := i.of.adopted; a != nil {
			charge += a.room.Load()
		}
		i.Close()
	}
	ghosts := got.Bytes - charge
	if got.Blocks != blocks || ghosts < 0 || ghosts > 0 && len(m.pins) == 0 {
		t.Fatalf("%d blocks of %d bytes are there: %+v", blocks, charge, got)
	}
	for _, p := range m.pins {
		data := make([]byte, p.of.img.Size)
		if _, err := p.file.ReadAt(data, 0); err != nil || !bytes.Equal(data, p.of.bytes) {
			t.Fatalf("a pinned file of %s has other bytes: %v", p.of.img.ID, err)
		}
	}
}

// Whatever is done to a store, what it reads is what was written, and it stays
// within its limit.
func TestModel(t *testing.T) {
	pictures := []picture{draw(1, 1), draw(2, 3*unit), draw(3, 20*unit+9), draw(4, 150*unit)}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "disk-model")
		must(t, err)
		defer func() { must(t, os.RemoveAll(dir)) }()
		m := &model{dir: dir, disk: newFakeDisk(), pictures: pictures, refs: make([]*Image, len(pictures))}
		m.o = options(filepath.Join(dir, "cache"))
		m.o.Limit = rapid.Int64Range(0, 80).Draw(t, "limit") * unit
		for range pictures {
			m.written = append(m.written, map[int64]bool{})
		}
		m.open(t)
		defer func() {
			m.closeRefs()
			m.releasePins()
			must(t, m.store.Close())
		}()
		t.Repeat(m.actions())
	})
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.check,
		"write": func(t *rapid.T) {
			n := m.choose(t)
			first, _ := m.block(t, n)
			end := min(m.pictures[n].blocks(), first+rapid.Int64Range(1, 40).Draw(t, "run"))
			for index := first; index < end; index++ {
				m.written[n][index] = true
				m.refs[n].Write(index, m.pictures[n].block(index))
			}
		},
		"read": func(t *rapid.T) {
			n := m.choose(t)
			index, want := m.block(t, n)
			p := make([]byte, len(want))
			if m.refs[n].Read(index, p) && !bytes.Equal(p, want) {
				t.Fatalf("block %d of image %d has wrong bytes", index, n)
			}
		},
		"read all": func(t *rapid.T) {
			n := m.choose(t)
			m.pictures[n].read(t, m.refs[n])
		},
		"adopt": func(t *rapid.T) {
			n := m.choose(t)
			p := m.pictures[n]
			f, err := os.CreateTemp(m.dir, "adopted")
			must(t, err)
			defer f.Close()
			_, err = f.Write(p.bytes)
			must(t, err)
			begin, err := m.refs[n].Adopt(f)
			must(t, os.Remove(f.Name()))
			if err != nil {
				return // no room, or there are blocks of it
			}
			m.begin = append(m.begin, begin)
			for index := range p.blocks() {
				m.written[n][index] = true
			}
		},
		"begin": m.beginAdopted,
		"drop": func(t *rapid.T) {
			n := m.choose(t)
			m.refs[n].Drop()
			m.refs[n].Write(0, make([]byte, len(m.pictures[n].block(0)))) // wrong as before
			m.refs[n].Close()
			m.refs[n] = nil
			m.written[n] = map[int64]bool{}
		},
		"pin": func(t *rapid.T) {
			n := m.choose(t)
			if f, release, ok := m.refs[n].Pin(); ok {
				m.pins = append(m.pins, modelPin{m.pictures[n], f, release})
			}
		},
		"release": func(*rapid.T) { m.releasePins() },
		"close":   func(*rapid.T) { m.closeRefs() },
		"shrink":  func(*rapid.T) { m.store.shrink() },
		"wait":    func(*rapid.T) { m.disk.pass(pauseTime) },
		"restart": func(t *rapid.T) {
			m.beginAdopted(t)
			m.closeRefs()
			m.releasePins()
			m.disk.setFree(1 << 20) // else what is too much goes at once
			before := m.store.Stats()
			must(t, m.store.Close())
			m.open(t)
			if after := m.store.Stats(); !m.cut && (after.Blocks != before.Blocks || after.Bytes != before.Bytes) {
				t.Fatalf("%+v became %+v", before, after)
			}
			m.cut = false
		},
		"flip": func(t *rapid.T) {
			n := m.choose(t)
			file := filepath.Join(m.o.Dir, m.pictures[n].name()+dataSuffix)
			m.beginAdopted(t) // what has no checksum yet does not have its hash
			pinned := false
			for _, p := range m.pins {
				pinned = pinned || p.of.img.ID == m.pictures[n].img.ID
			}
			if info, err := os.Stat(file); err == nil && !pinned && info.Size() > 0 {
				flip(t, file, rapid.Int64Range(0, info.Size()-1).Draw(t, "at"))
			}
		},
		"remove": func(t *rapid.T) {
			n := m.choose(t)
			suffix := rapid.SampledFrom([]string{dataSuffix, indexSuffix}).Draw(t, "file")
			m.cut = true
			m.closeRefs()                                                      // into a file without a name may be written until then
			_ = os.Remove(filepath.Join(m.o.Dir, m.pictures[n].name()+suffix)) // it may not exist
		},
		"cut": func(t *rapid.T) {
			n := m.choose(t)
			suffix := rapid.SampledFrom([]string{dataSuffix, indexSuffix}).Draw(t, "file")
			file := filepath.Join(m.o.Dir, m.pictures[n].name()+suffix)
			m.cut = true
			m.closeRefs()
			if info, err := os.Stat(file); err == nil && len(m.pins) == 0 {
				must(t, os.Truncate(file, rapid.Int64Range(0, info.Size()).Draw(t, "to")))
			}
		},
		"disk fills": func(t *rapid.T) {
			free := rapid.Int64Range(0, 100).Draw(t, "free blocks")
			m.disk.setFree(free * unit)
			m.store.measure()
		},
	}
}

// Several goroutines at once: what they read is what was written.
func TestConcurrentUse(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	o.Limit = 60 * unit
	s := openStore(t, o, d)
	pictures := []picture{draw(1, 25*unit), draw(2, 90*unit+1), draw(3, 5)}
	done := make(chan bool)
	const workers = 6
	for w := range workers {
		go func() {
			defer func() { done <- true }()
			for round := range 20 {
				p := pictures[(w+round)%len(pictures)]
				i := p.in(s)
				for index := range p.blocks() {
					i.Write(index, p.block(index))
					buf := make([]byte, len(p.block(index)))
					if i.Read(index, buf) && !bytes.Equal(buf, p.block(index)) {
						t.Errorf("block %d of %s has wrong bytes", index, p.img.ID)
					}
				}
				if f, release, ok := i.Pin(); ok {
					data := make([]byte, p.img.Size)
					if _, err := f.ReadAt(data, 0); err != nil || !bytes.Equal(data, p.bytes) {
						t.Errorf("a pinned file of %s has other bytes: %v", p.img.ID, err)
					}
					release()
				}
				switch {
				case round%7 == w:
					i.Drop()
				case round%5 == w:
					s.shrink()
				}
				i.Close()
				d.pass(time.Second)
			}
		}()
	}
	for range workers {
		<-done
	}
	settle(t, s)
	if got := s.Stats(); got.Bytes > o.Limit || got.Damaged > 0 || got.Mismatched > 0 {
		t.Errorf("%+v", got)
	}
	var refs []*Image
	for _, p := range pictures {
		i := p.in(s)
		p.read(t, i)
		refs = append(refs, i)
	}
	before := s.Stats()
	for _, i := range refs {
		i.Drop()
		i.Close()
	}
	if got := s.Stats(); got.Bytes != 0 || got.Blocks != 0 {
		t.Errorf("%+v were left of %+v", got, before)
	}
}
