package staging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// model is what a draft must be like: a plain slice of bytes.
type model struct {
	store   *Store
	later   *Store // where a crash puts a copy of the draft
	d       *Draft
	base    *memory // nil for a new draft
	bytes   []byte
	dirty   bool
	written bool
}

// modelMax, in bytes, is some pages, so that operations meet.
const modelMax = 6 * 4096

func (m *model) grow(size int) {
	if size > len(m.bytes) {
		m.bytes = append(m.bytes, make([]byte, size-len(m.bytes))...)
	}
}

func (m *model) touched() {
	m.dirty = true
	m.written = m.written || len(m.bytes) > 0
}

func drawSpan(t *rapid.T) (off, size int) {
	edge := rapid.OneOf(rapid.IntRange(0, modelMax-1), rapid.SampledFrom([]int{0, 4096, 8192, 12288}))
	off = edge.Draw(t, "off")
	return off, min(modelMax-off, max(1, rapid.OneOf(edge, rapid.IntRange(1, 64)).Draw(t, "size")))
}

func (m *model) write(t *rapid.T) {
	off, size := drawSpan(t)
	p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)
	n, err := m.d.WriteAt(context.Background(), p, int64(off))
	must(t, err)
	if n != size {
		t.Fatalf("wrote %d of %d", n, size)
	}
	m.grow(off + size)
	copy(m.bytes[off:], p)
	m.touched()
}

func (m *model) truncate(t *rapid.T) {
	size := rapid.IntRange(0, modelMax).Draw(t, "to")
	must(t, m.d.Truncate(context.Background(), int64(size)))
	if size == len(m.bytes) {
		return
	}
	m.bytes = m.bytes[:min(size, len(m.bytes)):min(size, len(m.bytes))]
	m.grow(size)
	m.touched()
}

func (m *model) allocate(t *rapid.T) {
	off, size := drawSpan(t)
	mode := rapid.SampledFrom([]uint32{
		0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
		unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE,
	}).Draw(t, "mode")
	must(t, m.d.Allocate(context.Background(), mode, int64(off), int64(size)))
	was := len(m.bytes)
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		m.grow(off + size)
	}
	zero := mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 && off < len(m.bytes)
	if zero {
		clear(m.bytes[off:min(off+size, len(m.bytes))])
	}
	if zero || len(m.bytes) != was {
		m.touched()
	}
}

func (m *model) read(t *rapid.T) {
	off, size := drawSpan(t)
	p := bytes.Repeat([]byte{0xEE}, size)
	n, err := m.d.ReadAt(context.Background(), p, int64(off))
	var want []byte
	if off < len(m.bytes) {
		want = m.bytes[off:min(off+size, len(m.bytes))]
	}
	if !bytes.Equal(p[:n], want) {
		t.Fatalf("read of %d at %d: %d bytes differ from the model's %d", size, off, n, len(want))
	}
	if short := len(want) < size; short != errors.Is(err, io.EOF) || !short && err != nil {
		t.Fatalf("read %d of %d: %v", n, size, err)
	}
}

func (m *model) seek(t *rapid.T) {
	off := rapid.IntRange(0, modelMax).Draw(t, "from")
	data, ok, err := m.d.SeekData(int64(off))
	must(t, err)
	if !ok {
		data = max(int64(off), int64(len(m.bytes)))
	}
	if int(data) < off || ok && int(data) >= len(m.bytes) {
		t.Fatalf("data from %d on at %d", off, data)
	}
	for i := off; i < min(int(data), len(m.bytes)); i++ {
		if m.bytes[i] != 0 {
			t.Fatalf("SEEK_DATA from %d on passes data at %d for %d", off, i, data)
		}
	}
	hole, ok, err := m.d.SeekHole(int64(off))
	must(t, err)
	if ok != (off < len(m.bytes)) || ok && (int(hole) < off || int(hole) > len(m.bytes)) {
		t.Fatalf("a hole from %d on at %d %v", off, hole, ok)
	}
	if ok && int(hole) < len(m.bytes) && m.bytes[hole] != 0 {
		t.Fatalf("data in the hole at %d", hole)
	}
}

// commit reads the draft twice, as a commit does, and puts it over the image.
func (m *model) commit(t *rapid.T) {
	s, err := m.d.BeginCommit(context.Background())
	must(t, err)
	if s.Size() != int64(len(m.bytes)) {
		t.Fatalf("snapshot of %d bytes, want %d", s.Size(), len(m.bytes))
	}
	for range 2 {
		p := make([]byte, len(m.bytes))
		if n, err := s.ReadAt(context.Background(), p, 0); n != len(p) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p, m.bytes) {
			t.Fatalf("the snapshot differs: %d %v", n, err)
		}
	}
	if !rapid.Bool().Draw(t, "accepted") {
		s.End(false)
		return
	}
	must(t, m.d.Update(func(r *Record) { r.State, r.Image = StateVisible, "image" }))
	if m.base == nil {
		must(t, m.d.Rebase(nil, image.Image{ID: "image"}))
	} else {
		old := m.base
		m.base = &memory{data: bytes.Clone(m.bytes)}
		must(t, m.d.Rebase(m.base, image.Image{ID: "image", Size: int64(len(m.bytes))}))
		if old.closed.Load() != 1 {
			t.Fatal("the old base is open")
		}
	}
	s.End(true)
	m.dirty = false
}

// crash syncs, copies the draft as the disk has it, and reads the copy with what
// its journal says.
func (m *model) crash(t *rapid.T) {
	if _, real := m.store.disk.(rootDisk); !real || rapid.Bool().Draw(t, "by state") {
		must(t, m.d.Update(func(*Record) {}))
	} else {
		must(t, m.d.Sync(context.Background()))
	}
	for _, suffix := range []string{journalSuffix, dataSuffix} {
		data, err := os.ReadFile(filepath.Join(m.store.path, m.d.ID()+suffix))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(m.later.path, m.d.ID()+suffix), data, fileMode))
	}
	spec := ReopenSpec{}
	if m.base != nil {
		spec.Base, spec.BaseImage = &memory{data: m.base.data}, image.Image{ID: m.d.Record().Base, Size: int64(len(m.base.data))}
	}
	again, err := m.later.Reopen(m.d.ID(), spec)
	must(t, err)
	if !bytes.Equal(contents(t, again), m.bytes) {
		t.Fatal("the draft differs after a crash")
	}
	var under []byte
	if m.base != nil {
		under = m.base.data
	}
	if m.dirty && !again.Dirty() && !bytes.Equal(m.bytes, under) {
		t.Fatal("a crash has made the draft clean")
	}
	must(t, again.Discard())
}

func (m *model) check(t *rapid.T) {
	if m.d.Size() != int64(len(m.bytes)) || m.d.Dirty() != m.dirty || m.d.Written() != m.written {
		t.Fatalf("size %d dirty %v written %v, want %d %v %v", m.d.Size(), m.d.Dirty(), m.d.Written(), len(m.bytes), m.dirty, m.written)
	}
	if r := m.d.Record(); m.dirty && r.State == StateCommitted {
		t.Fatal("changed, and still journaled as committed")
	}
	if !bytes.Equal(contents(t, m.d), m.bytes) {
		t.Fatal("the draft differs from the model")
	}
}

// lazyDisk leaves out the fsyncs, of which the model makes thousands: a tmpfs
// does them for nothing.
type lazyDisk struct{ rootDisk }

func (d lazyDisk) sync() error { return nil }

func (d lazyDisk) write(name string, data []byte) error {
	f, err := d.root.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func runModel(t *testing.T, dir string, fsyncs bool, base func(*rapid.T) []byte) {
	s, later := openStore(t, filepath.Join(dir, "staging")), openStore(t, filepath.Join(dir, "later"))
	if !fsyncs {
		s.disk, later.disk = lazyDisk{s.disk.(rootDisk)}, lazyDisk{later.disk.(rootDisk)}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{store: s, later: later}
		spec := Spec{Name: "disk", Entry: "disk"}
		if base != nil {
			m.bytes = base(t)
			spec = over(bytes.Clone(m.bytes))
			m.base = spec.Base.(*memory)
		}
		m.d = create(t, s, spec)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check, "write": m.write, "truncate": m.truncate, "allocate": m.allocate, "read": m.read,
			"seek": m.seek, "commit": m.commit, "crash": m.crash,
		})
		must(t, m.d.Discard())
		if m.base != nil && m.base.closed.Load() != 1 {
			t.Fatal("the base is open")
		}
		if left := files(t, s); len(left) != 0 {
			t.Fatalf("left in staging: %v", left)
		}
	})
}

// TestModel runs on a disk and on a tmpfs, which cannot zero a range.
func TestModel(t *testing.T) {
	base := func(t *rapid.T) []byte {
		p := make([]byte, rapid.IntRange(0, modelMax).Draw(t, "base"))
		for i := range p {
			p[i] = byte(i)%251 + 1
		}
		return p
	}
	t.Run("new", func(t *testing.T) { runModel(t, tmpfs(t, "64m"), true, nil) })
	t.Run("over a base", func(t *testing.T) { runModel(t, tmpfs(t, "64m"), true, base) })
	t.Run("over a base on disk", func(t *testing.T) { runModel(t, t.TempDir(), false, base) })
}
