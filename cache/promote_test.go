package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
)

// sorted returns the requests so far by their place: several may begin at once.
func sorted(v *service) []image.Span {
	all := v.requests()
	slices.SortFunc(all, func(a, b image.Span) int { return int(a.Off - b.Off) })
	return all
}

// TestFarBehindIsNotWaitedFor: a long prefetch is under way, and somebody reads far
// ahead of where it is. That read gets a request of its own, of no more than MaxSpan,
// and nothing comes twice.
func TestFarBehindIsNotWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name string
		own  bool // the reader is who prefetches
		near int64
	}{
		{"own", true, ownBehind},
		{"of another", false, spanBlocks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := make(gate)
				v := &service{read: g.at(unit)}
				c := newCache(t, v, 4096*unit, 8)
				owner := open(t, c, "a", 1<<30)
				reader := owner
				if !tt.own {
					reader = open(t, c, "a", 1<<30)
				}
				length := int64(64 << 20)
				owner.Prefetch(image.Span{Len: length})
				synctest.Wait()
				var wg sync.WaitGroup
				read := func(index int64) {
					wg.Go(func() { expect(t, reader, index*unit, unit) })
					synctest.Wait()
				}
				read(tt.near) // near enough to wait
				if n := len(v.requests()); n != 1 {
					t.Fatalf("%d requests", n)
				}
				read(tt.near + 8)
				far := (tt.near + 8) * unit
				want := []image.Span{{Len: length}, {Off: far, Len: MaxSpan}, {Off: far + MaxSpan, Len: length - far - MaxSpan}}
				if got := sorted(v); !slices.Equal(got, want) {
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
		})
	}
}

// TestPromotionDropsATailThatNobodyWants: of a long queued prefetch only the beginning
// is still wanted when a reader needs that. What is behind it is not asked for.
func TestPromotionDropsATailThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 2)
		gone, wants, reader := open(t, c, "a", 1<<30), open(t, c, "a", 1<<30), open(t, c, "a", 1<<30)
		gone.Prefetch(image.Span{Off: 900 * unit, Len: unit}, image.Span{Len: 2 * MaxSpan})
		wants.Prefetch(image.Span{Off: 900 * unit, Len: unit}, image.Span{Len: 4 * unit})
		synctest.Wait()
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, reader, 0, unit) })
		synctest.Wait()
		close(g)
		wg.Wait()
		synctest.Wait()
		want := []image.Span{{Len: 4 * unit}, {Off: 900 * unit, Len: unit}}
		if got := sorted(v); !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
		}
		if s := c.Stats(); s.Running != 0 || s.QueuedPrefetch != 0 || s.QueuedDemand != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestRestOfAPromotedPrefetchIsNext: what is cut off comes before what was queued later.
func TestRestOfAPromotedPrefetchIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 2)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Off: 900 * unit, Len: unit}, image.Span{Len: 2 * MaxSpan}, image.Span{Off: 500 * unit, Len: unit})
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, f, 0, unit) })
		synctest.Wait()
		close(g)
		wg.Wait()
		synctest.Wait()
		want := []image.Span{{Off: 900 * unit, Len: unit}, {Len: MaxSpan}, {Off: MaxSpan, Len: MaxSpan}, {Off: 500 * unit, Len: unit}}
		if got := v.requests(); !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
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

// TestPrefetchesAreBounded: as many at once as the cache is told.
func TestPrefetchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		most := 3
		v := &service{read: g.at(0)}
		c := New(Options{Memory: 4096 * unit, Streams: 16, Source: v, Prefetches: func() int { return most }})
		t.Cleanup(c.Close)
		f := open(t, c, "a", 1<<30)
		for i := range int64(20) {
			f.Prefetch(image.Span{Off: i * 100 * unit, Len: unit})
		}
		synctest.Wait()
		if s := c.Stats(); s.Running != 3 {
			t.Errorf("%+v", s)
		}
		most = 100 // never more than half of the streams
		f.Prefetch(image.Span{Off: 5000 * unit, Len: unit})
		synctest.Wait()
		if s := c.Stats(); s.Running != 8 {
			t.Errorf("%+v", s)
		}
		close(g)
		synctest.Wait()
		if n := len(v.requests()); n != 21 {
			t.Errorf("%d requests", n)
		}
	})
}

// A prefetch that gets its place in the moment in which a reader asks for its first block,
// which nobody was interested in any more, brings that, too.
func TestBeginsAsItsFirstBlockIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(0)}
		var places atomic.Int64
		places.Store(1)
		c := New(Options{Memory: 64 * unit, Streams: 8, Source: v, Prefetches: func() int { return int(places.Load()) }})
		t.Cleanup(c.Close)
		f := open(t, c, "a", 100*unit)
		f.Prefetch(image.Span{Off: 90 * unit, Len: unit}, image.Span{Off: 10 * unit, Len: 4 * unit})
		f.Abandon(image.Span{Off: 10 * unit, Len: 2 * unit})
		places.Store(2)
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, f, 9*unit, 2*unit) })
		synctest.Wait()
		close(g)
		wg.Wait()
		synctest.Wait()
		if s := c.Stats(); s.Running != 0 || s.QueuedDemand != 0 || s.QueuedPrefetch != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
}
