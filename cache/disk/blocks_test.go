package disk

import (
	"slices"
	"testing"
	"time"
)

func TestLatest(t *testing.T) {
	d := newFakeDisk()
	s := openStore(t, options(t.TempDir()), d)
	a, b, none := draw(1, 200*unit), draw(2, 3*unit+1), draw(3, unit)
	for _, p := range []picture{a, b, none} {
		i := p.in(s)
		defer i.Close()
		switch {
		case p.img.ID == a.img.ID:
			p.write(i, 0, 2)
			p.write(i, 130, 131)
		case p.img.ID == b.img.ID:
			p.write(i, 3, 4)
		}
		d.pass(time.Minute)
	}
	of := func(most int) (ids []string) {
		for _, k := range s.Latest(most) {
			ids = append(ids, k.Key.ID)
		}
		return ids
	}
	if got := of(9); !slices.Equal(got, []string{b.img.ID, a.img.ID}) {
		t.Errorf("%q", got)
	}
	i := a.in(s)
	defer i.Close()
	i.Read(130, make([]byte, unit))
	if got := of(1); !slices.Equal(got, []string{a.img.ID}) {
		t.Errorf("after a use: %q", got)
	}
	if got := s.Latest(1)[0]; got.Size != a.img.Size || !got.Used.Equal(d.system().now()) {
		t.Errorf("%+v", got)
	}
	var blocks []int64
	s.EachBlock(a.key(), a.img.Size, func(index int64) { blocks = append(blocks, index) })
	slices.Sort(blocks)
	if !slices.Equal(blocks, []int64{0, 1, 130}) {
		t.Errorf("blocks %d", blocks)
	}
	s.EachBlock(a.key(), a.img.Size+1, func(index int64) { t.Errorf("another size has block %d", index) })
}
