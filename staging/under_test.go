package staging

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What is written over the bytes of the image gives what a read gives, in whatever pieces,
// and behind what may show nothing of the image does.
func TestOverlay(t *testing.T) {
	const size = 1000
	s := tempStore(t)
	r := rand.New(rand.NewPCG(1, 2))
	base := bytes.Repeat([]byte("b"), size)
	none, some := 0, 0
	for range 300 {
		d := create(t, s, over(base))
		least := int64(size)
		for range r.IntN(5) {
			switch off := r.Int64N(size + 200); r.IntN(3) {
			case 0:
				must(t, d.Truncate(t.Context(), off))
				least = min(least, off)
			case 1:
				write(t, d, strings.Repeat("w", 1+r.IntN(300)), off)
			default:
				write(t, d, strings.Repeat("w", r.IntN(size+200)), 0)
			}
		}
		snap, err := d.BeginCommit(t.Context())
		must(t, err)
		want := contents(t, d)
		shown := snap.Shown()
		switch last := int64(bytes.LastIndexByte(want, 'b')); {
		case last < 0 && shown == 0:
			none++
		case last < shown && shown == least:
			some++
		default:
			t.Errorf("%d bytes may show, the last that does is at %d, and it was cut at %d", shown, last, least)
		}
		for off := int64(0); off < snap.Size(); {
			p := bytes.Repeat([]byte("?"), int(min(1+r.Int64N(300), snap.Size()-off)))
			if under := p[:max(0, min(int64(len(p)), shown-off))]; len(under) > 0 {
				must(t, snap.ReadBase(t.Context(), under, off))
			}
			was, begun := bytes.Clone(p), 0
			must(t, snap.Overlay(p, off, func() {
				if begun++; !bytes.Equal(p, was) {
					t.Error("it has begun before it said so")
				}
			}))
			if !bytes.Equal(p, want[off:off+int64(len(p))]) || begun > 1 || begun == 0 && !bytes.Equal(p, was) {
				t.Errorf("at %d: %s, want %s; begun %d times", off, p, want[off:off+int64(len(p))], begun)
			}
			off += int64(len(p))
		}
		must(t, snap.ReadBase(t.Context(), make([]byte, size), 0)) // also what was cut off
		snap.End(false)
		must(t, d.Discard())
	}
	if none == 0 || some == 0 {
		t.Errorf("the test tests little: nothing shows %d times, something %d times", none, some)
	}
}

// A base is put in the place of another, and each is closed once.
func TestRenew(t *testing.T) {
	s := tempStore(t)
	spec, next, late := over([]byte("old")), &memory{data: []byte("new")}, &memory{}
	d := create(t, s, spec)
	write(t, d, "X", 0)
	d.Renew(next)
	if got := string(contents(t, d)); got != "Xew" || spec.Base.(*memory).closed.Load() != 1 || d.Record().Base != "base" {
		t.Errorf("%q, %+v", got, d.Record())
	}
	must(t, d.Discard())
	d.Renew(late)
	d = create(t, s, Spec{Name: "new", BaseImage: image.Image{}})
	other := &memory{}
	d.Renew(other) // it lies over none
	must(t, d.Discard())
	for _, b := range []*memory{next, late, other} {
		if n := b.closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
	}
}
