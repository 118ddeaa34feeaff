package commit

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// wrongBase reads an image, of which one byte comes wrong as long as there are flips left.
type wrongBase struct {
	staging.Base
	at    int64
	flips *atomic.Int64 // a read of that byte takes one
	read  *atomic.Int64 // bytes
}

func (b wrongBase) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := b.Base.ReadAt(ctx, p, off)
	b.read.Add(int64(n))
	if off <= b.at && b.at < off+int64(n) && b.flips.Add(-1) >= 0 {
		p[b.at-off] ^= 8
	}
	return n, err
}

// wrongBases is a house whose images come so.
type wrongBases struct {
	*house
	wrongBase
}

func (b wrongBases) OpenBase(img image.Image) staging.Base {
	w := b.wrongBase
	w.Base = b.house.OpenBase(img)
	return w
}

func newWrongBases(t *testing.T, at, flips int64) wrongBases {
	b := wrongBases{newHouse(t, newFake()), wrongBase{at: at, flips: new(atomic.Int64), read: new(atomic.Int64)}}
	b.flips.Store(flips)
	o := b.options()
	o.Bases = b
	b.Committer = New(o)
	return b
}

// edit makes a draft over the image, whose base comes wrong.
func (b wrongBases) edit(old image.Image) *staging.Draft {
	spec := over(old)
	spec.Base, spec.BaseImage = b.OpenBase(old), old
	return b.draft(spec, nil)
}

// An image that is edited is compared with its hash before the edit of it is published: what
// came wrong is forgotten and read anew, and what stays wrong is not published. So it is
// where the wrong byte was written over or cut off, for that cannot be told, but not where
// nothing of the image is left.
func TestWrongBytesUnderAnEdit(t *testing.T) {
	const size = 3*chunk + 1000
	write := func(off, n int) func(*wrongBases, *staging.Draft) {
		return func(b *wrongBases, d *staging.Draft) { b.write(d, bytes.Repeat([]byte("e"), n), int64(off)) }
	}
	cut := func(sizes ...int64) func(*wrongBases, *staging.Draft) {
		return func(b *wrongBases, d *staging.Draft) {
			for _, s := range sizes {
				check(b.t, d.Truncate(ctxb, s))
			}
		}
	}
	edits := map[string]struct {
		do    func(*wrongBases, *staging.Draft)
		blind bool  // nothing of the image shows
		more  int64 // bytes of the image that are read beside all of it, at most
	}{
		"a few bytes":         {do: write(5, 100)},
		"the last bytes":      {do: write(size-5, 5)},
		"more at the end":     {do: write(size, 2*chunk)},
		"all but one byte":    {do: write(1, size-1)},
		"all of it":           {do: write(0, size), blind: true},
		"all of it, and more": {do: write(0, size+5), blind: true},
		"cut":                 {do: cut(chunk + 77), more: chunk + 77},
		"cut and made longer": {do: cut(2*chunk, 4*chunk), more: 2 * chunk},
		"emptied and written": {do: func(b *wrongBases, d *staging.Draft) { cut(0)(b, d); write(0, 10)(b, d) }, blind: true},
		"cut and written over": {do: func(b *wrongBases, d *staging.Draft) {
			cut(chunk)(b, d)
			write(0, chunk)(b, d)
		}, blind: true},
	}
	for name, e := range edits {
		for _, at := range []int64{0, 7, chunk, 2*chunk + 5, size - 1} {
			for _, flips := range []int64{0, 1, 1000} {
				synctest.Test(t, func(t *testing.T) {
					b := newWrongBases(t, at, flips)
					content := pattern(size)
					old := b.service.put(image.Image{Name: "x", DiskFormat: "raw", ContainerFormat: "bare"}, content)
					right := b.draft(b.house.edit(old), nil)
					e.do(&b, right)
					want := bytesOf(t, right)
					d := b.edit(old)
					e.do(&b, d)
					b.read.Store(0)
					b.flips.Store(flips)
					img, err := b.Commit(ctxb, d)
					switch {
					case flips == 0 || e.blind:
						check(t, err)
						if most := size + e.more + 8<<10; !e.blind && b.read.Load() > most || len(b.wrong) > 0 { // detection reads a little
							t.Errorf("%s: read %d bytes of %d, wrong are %v", name, b.read.Load(), size, b.wrong)
						}
					case flips == 1:
						check(t, err)
						if len(b.wrong) != 1 || b.wrong[0] != old.ID || b.service.count("delete") != 2 && b.service.count("create") != 1 {
							t.Errorf("%s, byte %d: said to be wrong: %v", name, at, b.wrong)
						}
						if n := strings.Count(b.log.String(), "level=WARN"); n != 1 || !strings.Contains(b.log.String(), old.ID) {
							t.Errorf("%s, byte %d: %d lines of the log: %s", name, at, n, b.log)
						}
					default:
						if now := b.only(); !image.Is(err, image.Corrupt) || now.ID != old.ID || d.Record().State != staging.StateFailed {
							t.Fatalf("%s, byte %d: %v: %+v", name, at, err, now)
						}
						b.flips.Store(0) // and who tries again has the right ones
						img, err = b.Commit(ctxb, d)
						check(t, err)
					}
					if got := b.stored(b.only().ID); b.only().ID != img.ID || !bytes.Equal(got, want) {
						t.Errorf("%s, byte %d, %d flips: the image has other bytes", name, at, flips)
					}
				})
			}
		}
	}
}

// Where the bytes under a draft have been found to be wrong before, by whoever has read all
// of them, its commit reads them anew.
func TestBytesKnownToBeWrongUnderAnEdit(t *testing.T) {
	for _, format := range []string{"raw", "qcow2"} { // of which the header is looked at first
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, newFake())
			content := pattern(5000)
			old := h.service.put(image.Image{Name: "x", DiskFormat: format, ContainerFormat: "bare"}, content)
			spec := over(old)
			spec.Base, spec.BaseImage = &fakeBase{fail: &image.Error{Op: "read", Image: old.ID, Kind: image.Corrupt}}, old
			d := h.draft(spec, []byte("edited"))
			img, err := h.Commit(ctxb, d)
			check(t, err)
			copy(content, "edited")
			if h.only().ID != img.ID || !bytes.Equal(h.stored(img.ID), content) || len(h.wrong) > 0 {
				t.Errorf("%s: %+v, wrong: %v", format, h.service.all(), h.wrong)
			}
		})
	}
}

// What is exported of an edit is compared in the same way: wrong bytes are read anew, and
// those that stay wrong do not come whole.
func TestExportOfWrongBytes(t *testing.T) {
	const size = 3*chunk + 1000
	for name, to := range map[string]int64{"edited": size, "cut": chunk + 77, "longer": size + chunk} {
		for _, at := range []int64{7, chunk + 90, size - 1} {
			for _, flips := range []int64{0, 1, 1000} {
				b := newWrongBases(t, at, 0)
				old := b.service.put(image.Image{Name: "x", DiskFormat: "raw", ContainerFormat: "bare"}, pattern(size))
				d := b.edit(old)
				b.write(d, []byte("edited"), 5)
				check(t, d.Truncate(ctxb, to))
				want := bytesOf(t, d)
				b.flips.Store(flips)
				var got []byte
				err := b.Export(ctxb, d, func(from Bytes) error {
					got = make([]byte, 0, from.Size())
					p := make([]byte, chunk) // the same for all, as a copy has it
					for off := int64(0); off < from.Size(); off += chunk {
						n, err := from.ReadAt(ctxb, p[:min(chunk, from.Size()-off)], off)
						if err != nil {
							return err
						}
						got = append(got, p[:n]...)
					}
					return nil
				})
				switch {
				case flips > 1:
					if !image.Is(err, image.Corrupt) || int64(len(got)) == to || len(b.wrong) == 0 {
						t.Errorf("%s, byte %d: %v, %d bytes, wrong: %v", name, at, err, len(got), b.wrong)
					}
				case err != nil || !bytes.Equal(got, want) || len(b.wrong) != int(flips):
					t.Errorf("%s, byte %d, %d flips: %v, it differs: %v, wrong: %v", name, at, flips, err, !bytes.Equal(got, want), b.wrong)
				}
				if len(b.service.all()) != 1 || !d.Dirty() {
					t.Errorf("%s: %+v, dirty %v", name, b.service.all(), d.Dirty())
				}
			}
		}
	}
}

// gatedBase reads an image up to somewhere, and waits there.
type gatedBase struct {
	staging.Base
	from int64
	gate <-chan struct{}
}

func (b gatedBase) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off >= b.from {
		<-b.gate
	}
	return b.Base.ReadAt(ctx, p, off)
}

// While the image under an edit that has cut it is read for its hash, the commit shows that
// it gets on.
func TestProgressOfTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake())
		old := h.service.put(image.Image{Name: "x", DiskFormat: "raw", ContainerFormat: "bare"}, pattern(3*chunk+1000))
		gate := make(chan struct{})
		spec := over(old)
		spec.Base, spec.BaseImage = gatedBase{h.OpenBase(old), 2 * chunk, gate}, old
		d := h.draft(spec, nil)
		check(t, d.Truncate(ctxb, chunk+77))
		failed := make(chan error)
		go func() {
			_, err := h.Commit(ctxb, d)
			failed <- err
		}()
		synctest.Wait()
		if p := h.Active()[0]; p.Phase != Preparing || p.Sent != 0 || p.Read != 2*chunk+77 {
			t.Errorf("progress %+v", p)
		}
		close(gate)
		check(t, <-failed)
	})
}
