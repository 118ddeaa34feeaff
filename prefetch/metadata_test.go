package prefetch

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

// qcow2At is the start of a qcow2 with an L1 table and a refcount table of one
// block each at the offsets.
func qcow2At(l1, refcounts int64) []byte {
	p := make([]byte, 4096)
	copy(p, "QFI\xfb\x00\x00\x00\x02")
	binary.BigEndian.PutUint32(p[20:], 16) // clusters of 64 KiB
	binary.BigEndian.PutUint32(p[36:], 20)
	binary.BigEndian.PutUint64(p[40:], uint64(l1))
	binary.BigEndian.PutUint64(p[48:], uint64(refcounts))
	binary.BigEndian.PutUint32(p[56:], 1)
	return p
}

// A lone read of the header brings what is near, in one breath and within the
// limit of a small read; what is read next is there, or on its way.
func TestMetadataOfFormats(t *testing.T) {
	const size = 64 << 20
	last := image.Span{Off: size - unit, Len: unit}
	for name, c := range map[string]struct {
		format string
		disk   []byte
		reads  []image.Span
		want   []image.Span
	}{
		"qcow2": {"qcow2", qcow2At(192<<10, 64<<10),
			[]image.Span{{Len: 16 << 10}, {Off: 192 << 10, Len: 160}, {Off: 64 << 10, Len: 64 << 10}},
			[]image.Span{{Len: 2 * unit}}},
		"qcow2, lone read": {"qcow2", qcow2At(192<<10, 64<<10),
			[]image.Span{{Len: 4096}},
			[]image.Span{{Len: 2 * unit}}},
		"qcow2 with tables far away, lone read": {"qcow2", qcow2At(20<<20, 30<<20),
			[]image.Span{{Len: 4096}},
			[]image.Span{{Len: 2 * unit}}},
		"qcow2 with tables far away": {"qcow2", qcow2At(20<<20, 30<<20),
			[]image.Span{{Len: 4096}, {Off: 20 << 20, Len: 160}},
			[]image.Span{{Len: 2 * unit}, {Off: 30 << 20, Len: unit}, {Off: 20 << 20, Len: unit}}},
		"qcow2 called raw": {"raw", qcow2At(20<<20, 30<<20),
			[]image.Span{{Len: 4096}},
			[]image.Span{{Len: unit}, {Off: 20 << 20, Len: unit}}},
		"qcow2 over two blocks": {"qcow2", qcow2At(20<<20, 30<<20),
			[]image.Span{{Off: unit - 4096, Len: 8192}},
			[]image.Span{{Len: 2 * unit}}},
		"vhd": {"vhd", nil,
			[]image.Span{{Len: 4096}, {Off: size - 512, Len: 512}},
			[]image.Span{{Len: unit}, last}},
		"vhd, read first at its end": {"vhd", nil,
			[]image.Span{{Off: size - 512, Len: 512}, {Len: 512}},
			[]image.Span{last, {Len: unit}}},
		"vhd over two blocks": {"vhd", nil,
			[]image.Span{{Off: unit - 4096, Len: 8192}},
			[]image.Span{{Len: 2 * unit}}},
		"raw": {"raw", nil,
			[]image.Span{{Len: 4096}, {Off: 20 << 20, Len: 4096}},
			[]image.Span{{Len: unit}, {Off: 20 << 20, Len: unit}}},
		"qcow2, not at its start": {"qcow2", qcow2At(192<<10, 64<<10),
			[]image.Span{{Off: unit, Len: 4096}},
			[]image.Span{{Off: unit, Len: unit}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &service{disk: c.disk}
				e := newEngine(t, v, 64<<20, 4)
				img := record("a", size)
				img.DiskFormat = c.format
				r := e.Open(img)
				defer r.Close()
				for _, s := range c.reads {
					if n, err := r.ReadAt(t.Context(), make([]byte, s.Len), s.Off); int64(n) != s.Len || err != nil {
						t.Fatalf("read of %v: %d, %v", s, n, err)
					}
					synctest.Wait()
				}
				slices.SortFunc(v.spans, func(a, b image.Span) int { return int(a.Off - b.Off) })
				slices.SortFunc(c.want, func(a, b image.Span) int { return int(a.Off - b.Off) })
				if !slices.Equal(v.spans, c.want) {
					t.Errorf("asked for %v, want %v", v.spans, c.want)
				}
			})
		})
	}
}

// A header that names more than pays, or whatever it likes, costs a bounded number
// of bytes for each reader.
func TestMetadataIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := qcow2At(20<<20, 512<<20)
		binary.BigEndian.PutUint32(p[36:], 1<<32-1)
		binary.BigEndian.PutUint32(p[56:], 1<<32-1)
		v := &service{disk: p}
		e := newEngine(t, v, 64<<20, 4)
		img := record("a", 1<<40)
		img.DiskFormat = "qcow2"
		r := e.Open(img)
		defer r.Close()
		for i := range int64(40) { // each of them inside what the header calls a table
			for _, off := range []int64{0, 20<<20 + (i*7%8)*unit, 512 << 20} {
				if _, err := r.ReadAt(t.Context(), make([]byte, 512), off); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		if got := v.moved(); got > metadataMost+firstWindow+2*cache.MaxSpan {
			t.Errorf("%d bytes were fetched", got)
		}
		if !r.metadata.over.Load() {
			t.Error("it still looks at the header")
		}
	})
}

// Where memory is so short that the tables would be gone again, nothing is fetched
// but what is read.
func TestMetadataNeedsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{disk: qcow2At(192<<10, 64<<10)}
		e := newEngine(t, v, 4*unit, 4)
		img := record("a", 64<<20)
		img.DiskFormat = "qcow2"
		r := e.Open(img)
		defer r.Close()
		if _, err := r.ReadAt(t.Context(), make([]byte, 4096), 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []image.Span{{Len: unit}}; !slices.Equal(v.spans, want) {
			t.Errorf("asked for %v, want %v", v.spans, want)
		}
	})
}

// A store without ranges is asked for one, once, also where a header is read.
func TestMetadataWithoutRanges(t *testing.T) {
	v := &service{wholeOnly: true, disk: qcow2At(2<<20, 3<<20)}
	e := newEngine(t, v, 64<<20, 4)
	img := record("a", 8<<20)
	img.DiskFormat = "qcow2"
	r := e.Open(img)
	defer r.Close()
	for range 3 {
		if n, err := r.ReadAt(t.Context(), make([]byte, 4096), 0); n != 4096 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if v.streams() != 1 {
		t.Errorf("%d streams", v.streams())
	}
}
