package cache

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
)

// TestFarBehindIsNotWaitedFor: a long prefetch is under way, and somebody reads far
// ahead of where it is. That read gets a request of its own, of no more than MaxSpan,
// and nothing comes twice.
func TestFarBehindIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(unit)}
		c := newCache(t, v, 4096*unit, 8)
		owner := open(t, c, "a", 1<<30)
		length := int64(64 << 20)
		owner.Prefetch(image.Span{Len: length})
		synctest.Wait()
		var wg sync.WaitGroup
		read := func(off int64) {
			wg.Go(func() { expect(t, open(t, c, "a", 1<<30), off, unit) })
			synctest.Wait()
		}
		read(farBehind * unit) // near enough to wait
		if n := len(v.requests()); n != 1 {
			t.Fatalf("%d requests", n)
		}
		far := (farBehind + 8) * unit
		read(far)
		want := []image.Span{{Len: length}, {Off: far, Len: MaxSpan}, {Off: far + MaxSpan, Len: length - far - MaxSpan}}
		got := v.requests()
		slices.SortFunc(got, func(a, b image.Span) int { return int(a.Off - b.Off) }) // two begin at once
		if !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
		}
		close(g)
		wg.Wait()
		expect(t, owner, 0, length)
		synctest.Wait()
		if s := c.Stats(); s.Fetched != length || s.Running != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestHas(t *testing.T) {
	c := newCache(t, &service{}, 64*unit, 2)
	f := open(t, c, "a", 5*unit-1)
	if f.Has(image.Span{Len: 1}) {
		t.Error("has what was not fetched")
	}
	expect(t, f, 0, 2*unit)
	expect(t, f, 3*unit, 2*unit)
	for _, s := range []struct {
		span image.Span
		has  bool
	}{
		{image.Span{}, true},
		{image.Span{Off: 5, Len: 2*unit - 5}, true},
		{image.Span{Len: 2*unit + 1}, false},
		{image.Span{Off: unit, Len: 3 * unit}, false},
		{image.Span{Off: 3 * unit, Len: 2*unit - 1}, true},
	} {
		if f.Has(s.span) != s.has {
			t.Errorf("%+v: has %v", s.span, !s.has)
		}
	}
}
