package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// model is what the directory must look like: the bytes of each entry, and the
// files that are open.
type model struct {
	*mounted
	files map[string]*content // by entry
	open  []*openFile
}

type content struct{ data []byte }

type openFile struct {
	f  *os.File
	of *content // also after its entry was removed
}

var modelNames = rapid.SampledFrom([]string{"a", "b", "c", "d.qcow2"})

func (m *model) pick(r *rapid.T) (string, *content) {
	name := modelNames.Draw(r, "name")
	return name, m.files[name]
}

func (m *model) create(r *rapid.T) {
	name, had := m.pick(r)
	flags := os.O_RDWR | os.O_CREATE | rapid.SampledFrom([]int{0, os.O_TRUNC, os.O_EXCL}).Draw(r, "flags")
	f, err := os.OpenFile(m.path(name), flags, 0o644)
	if flags&os.O_EXCL != 0 && had != nil {
		if !errors.Is(err, os.ErrExist) {
			r.Fatalf("create %s: %v, want that it exists", name, err)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	if had == nil {
		had = &content{}
		m.files[name] = had
	}
	if flags&os.O_TRUNC != 0 {
		had.data = nil
	}
	m.open = append(m.open, &openFile{f, had})
}

func (m *model) withOpen(r *rapid.T) *openFile {
	if len(m.open) == 0 {
		r.Skip("no file is open")
	}
	return m.open[rapid.IntRange(0, len(m.open)-1).Draw(r, "file")]
}

func (m *model) write(r *rapid.T) {
	o := m.withOpen(r)
	off := rapid.IntRange(0, 9000).Draw(r, "off")
	p := bytes.Repeat([]byte{rapid.Byte().Draw(r, "byte")}, rapid.IntRange(1, 5000).Draw(r, "len"))
	if _, err := o.f.WriteAt(p, int64(off)); err != nil {
		r.Fatal(err)
	}
	if grown := off + len(p); grown > len(o.of.data) {
		o.of.data = append(o.of.data, make([]byte, grown-len(o.of.data))...)
	}
	copy(o.of.data[off:], p)
}

func (m *model) resize(c *content, size int) {
	c.data = append(c.data, make([]byte, max(0, size-len(c.data)))...)[:size]
}

func (m *model) ftruncate(r *rapid.T) {
	o, size := m.withOpen(r), rapid.IntRange(0, 9000).Draw(r, "size")
	if err := o.f.Truncate(int64(size)); err != nil {
		r.Fatal(err)
	}
	m.resize(o.of, size)
}

func (m *model) truncate(r *rapid.T) {
	name, c := m.pick(r)
	size := rapid.IntRange(0, 9000).Draw(r, "size")
	err := os.Truncate(m.path(name), int64(size))
	if c == nil {
		if !errors.Is(err, os.ErrNotExist) {
			r.Fatalf("truncate %s: %v", name, err)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	m.resize(c, size)
}

func (m *model) closeOne(r *rapid.T) {
	o := m.withOpen(r)
	if err := o.f.Close(); err != nil {
		r.Fatal(err)
	}
	m.open = slices.DeleteFunc(m.open, func(x *openFile) bool { return x == o })
}

func (m *model) rename(r *rapid.T) {
	from, c := m.pick(r)
	to := modelNames.Draw(r, "to")
	err := os.Rename(m.path(from), m.path(to))
	if c == nil {
		if !errors.Is(err, os.ErrNotExist) {
			r.Fatalf("rename %s: %v", from, err)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	delete(m.files, from)
	m.files[to] = c
}

func (m *model) remove(r *rapid.T) {
	name, c := m.pick(r)
	err := os.Remove(m.path(name))
	if c == nil {
		if !errors.Is(err, os.ErrNotExist) {
			r.Fatalf("remove %s: %v", name, err)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	delete(m.files, name)
}

// check compares everything that can be seen.
func (m *model) check(r *rapid.T) {
	list, err := os.ReadDir(m.dir)
	if err != nil {
		r.Fatal(err)
	}
	var seen []string
	for _, e := range list {
		seen = append(seen, e.Name())
	}
	if want := slices.Sorted(maps.Keys(m.files)); !slices.Equal(seen, want) {
		r.Fatalf("the directory has %q, want %q", seen, want)
	}
	for name, c := range m.files {
		got, err := os.ReadFile(m.path(name))
		if err != nil {
			r.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got, c.data) {
			r.Fatalf("%s has %d bytes that differ from the %d of the model", name, len(got), len(c.data))
		}
	}
	for _, o := range m.open {
		got := make([]byte, len(o.of.data)+1)
		if n, err := o.f.ReadAt(got, 0); err != io.EOF || !bytes.Equal(got[:n], o.of.data) {
			r.Fatalf("an open file has %d bytes (%v), which differ from the %d of the model", n, err, len(o.of.data))
		}
	}
}

// Whatever is done to files, they behave as local ones do; and once all are closed,
// the service has exactly that.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) { runModel(t, r, newHouse()) })
}

// So it is where closes are answered before their commits, of which every other one
// fails.
func TestModelWriteback(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse()
		var tries atomic.Int64
		h.hook = func(_ context.Context, op, _ string) error {
			if op == "behind" && tries.Add(1)%2 == 1 {
				return &image.Error{Op: op, Kind: image.Unavailable}
			}
			return nil
		}
		runModel(t, r, h, quickly)
	})
}

func runModel(t *testing.T, r *rapid.T, h *house, change ...func(*Options)) {
	m := &model{mounted: mountHouseFor(t, h, change...), files: map[string]*content{}}
	defer m.unmount()
	defer func() {
		for _, o := range m.open {
			o.f.Close()
		}
	}()
	r.Repeat(map[string]func(*rapid.T){
		"create": m.create, "write": m.write, "ftruncate": m.ftruncate, "truncate": m.truncate,
		"close": m.closeOne, "rename": m.rename, "remove": m.remove, "": m.check,
	})
	for len(m.open) > 0 {
		m.closeOne(r)
	}
	m.settled()
	m.check(r)
	if m.count() != len(m.files) {
		r.Fatalf("%d images for %d files", m.count(), len(m.files))
	}
	for name, c := range m.files {
		if m.content(name) != string(c.data) {
			r.Fatalf("the service has other bytes of %s", name)
		}
	}
}
