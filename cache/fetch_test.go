package cache

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/image"
)

// stalled starts a cache whose bodies wait for the gate.
func stalled(t *testing.T, streams int) (*Cache, *service, gate) {
	g := make(gate)
	v := &service{read: g.at(0)}
	return newCache(t, v, 4096*unit, streams), v, g
}

func TestCancelOfTheFirstLeavesTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 4)
		f := open(t, c, "a", 1<<30)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := f.ReadAt(ctx, make([]byte, unit), 0)
			if !image.Is(err, image.Interrupted) || !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled read: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { expect(t, f, 0, unit) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g)
		wg.Wait()
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestLastWaiterEndsTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 1)
		f := open(t, c, "a", 1<<30)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.ReadAt(ctx, make([]byte, unit), 0)
		if !image.Is(err, image.Stalled) {
			t.Errorf("deadline: %v", err)
		}
		synctest.Wait()
		if s := c.Stats(); s.Running != 0 {
			t.Errorf("the fetch goes on: %+v", s)
		}
		close(g)
		expect(t, f, 0, unit)
		if n := len(v.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestSpanEndsBehindItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(unit)}
		c := newCache(t, v, 4096*unit, 2)
		f := open(t, c, "a", 1<<30)
		owner := open(t, c, "a", 1<<30)
		owner.Prefetch(image.Span{Len: MaxSpan})
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, f, 3*unit, unit) })
		synctest.Wait()
		if err := owner.Close(); err != nil {
			t.Fatal(err)
		}
		close(g)
		wg.Wait()
		synctest.Wait()
		if s := c.Stats(); s.Fetched != 4*unit || s.Running != 0 || len(v.requests()) != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestFailureReachesTheWaitersOfWhatIsMissing(t *testing.T) {
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name  string
		cause error
		kind  image.Kind
	}{
		{"plain", broken, image.Other},
		{"end of file", io.EOF, image.Corrupt},
		{"typed", &image.Error{Op: "open span", Kind: image.Unavailable, Err: broken}, image.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mended sync.Map
				v := &service{latency: time.Second, read: func(_ context.Context, at int64) error {
					if _, ok := mended.Load(true); !ok && at >= 2*unit {
						return tt.cause
					}
					return nil
				}}
				c := newCache(t, v, 64*unit, 2)
				f := open(t, c, "a", 1<<30)
				var wg sync.WaitGroup
				wg.Go(func() {
					n, err := f.ReadAt(t.Context(), make([]byte, 4*unit), 0)
					if n != 2*unit || !image.Is(err, tt.kind) || errors.Is(err, tt.cause) == errors.Is(tt.cause, io.EOF) {
						t.Errorf("got %d, %v", n, err)
					}
				})
				synctest.Wait()
				wg.Go(func() { expect(t, f, unit, unit) })
				wg.Wait()
				expect(t, f, 0, 2*unit)
				if n := len(v.requests()); n != 1 {
					t.Errorf("%d requests before the service is mended", n)
				}
				mended.Store(true, true)
				expect(t, f, 0, 4*unit)
			})
		})
	}
}

func TestOpenFailureIsNotKept(t *testing.T) {
	failing := true
	gone := &image.Error{Op: "open span", Image: "a", Kind: image.NotFound}
	v := &service{open: func(image.Span) error {
		if failing {
			return gone
		}
		return nil
	}}
	c := newCache(t, v, 64*unit, 2)
	f := open(t, c, "a", 1<<30)
	for range 3 {
		if _, err := f.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, gone) {
			t.Fatalf("got %v", err)
		}
	}
	failing = false
	expect(t, f, 0, 10)
	if n := len(v.requests()); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestDemandPassesPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 4)
		f := open(t, c, "a", 1<<30)
		for i := range int64(6) {
			f.Prefetch(image.Span{Off: i * 100 * unit, Len: 8 * unit})
		}
		synctest.Wait()
		if s := c.Stats(); s.Running != 2 || s.QueuedPrefetch != 4 {
			t.Fatalf("places are kept for demand: %+v", s)
		}
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { expect(t, f, 70*unit, 1) }) // takes the third place
		synctest.Wait()
		wg.Go(func() { // takes the fourth
			if _, err := f.ReadAt(ctx, make([]byte, 1), 50*unit); !image.Is(err, image.Interrupted) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { expect(t, f, 503*unit, 2*unit) }) // joins the last prefetch, in the middle
		synctest.Wait()
		if s := c.Stats(); s.Running != 4 || s.QueuedDemand != 1 || s.QueuedPrefetch != 4 {
			t.Errorf("before: %+v", s)
		}
		cancel() // one place is free
		synctest.Wait()
		if got := v.requests(); len(got) != 5 || got[4] != (image.Span{Off: 503 * unit, Len: 5 * unit}) {
			t.Errorf("requests %v", got)
		}
		close(g)
		wg.Wait()
		synctest.Wait()
		if n := len(v.requests()); n != 9 {
			t.Errorf("%d requests in the end", n)
		}
		if v.peak > 4 {
			t.Errorf("%d requests at once", v.peak)
		}
	})
}

func TestOnlyPlaceServesPrefetchToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{}
		c := newCache(t, v, 64*unit, 1)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Off: 100, Len: 2 * unit})
		synctest.Wait()
		expect(t, f, 0, 3*unit)
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestImagesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 2)
		greedy, modest := open(t, c, "greedy", 1<<30), open(t, c, "modest", 1<<30)
		for i := range int64(20) {
			greedy.Prefetch(image.Span{Off: i * 100 * unit, Len: unit})
		}
		for i := range int64(3) {
			modest.Prefetch(image.Span{Off: i * 100 * unit, Len: unit})
		}
		synctest.Wait()
		close(g)
		synctest.Wait()
		slices.Reverse(v.ids)
		if before := len(v.ids) - slices.Index(v.ids, "modest"); before > 7 {
			t.Errorf("the modest image was done after %d requests", before)
		}
		if n := len(v.ids); n != 23 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAbandonedPrefetchIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 2)
		f, other := open(t, c, "a", 1<<30), open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Off: 900 * unit, Len: unit}) // takes the place
		synctest.Wait()
		f.Prefetch(image.Span{Len: 10 * unit})
		other.Prefetch(image.Span{Off: 3 * unit, Len: 2 * unit})
		f.Abandon(image.Span{Len: 20 * unit})
		synctest.Wait()
		close(g)
		synctest.Wait()
		got := v.requests()
		if len(got) != 2 || got[1] != (image.Span{Off: 3 * unit, Len: 2 * unit}) {
			t.Errorf("requests %v", got)
		}
		f.Prefetch(image.Span{Off: 1 << 40, Len: unit}, image.Span{})
		f.Abandon(image.Span{Off: 1 << 40, Len: unit})
		synctest.Wait()
		if n := len(v.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestPromotionLeavesWhatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, g := stalled(t, 2)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Off: 900 * unit, Len: unit})
		synctest.Wait()
		f.Prefetch(image.Span{Len: 10 * unit})
		f.Abandon(image.Span{Len: 4 * unit})
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, f, 3*unit, 3*unit) })
		synctest.Wait()
		close(g)
		wg.Wait()
		synctest.Wait()
		if got := v.requests(); len(got) != 2 || got[1] != (image.Span{Off: 3 * unit, Len: 7 * unit}) {
			t.Errorf("requests %v", got)
		}
	})
}

func TestCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, _ := stalled(t, 2)
		f := open(t, c, "a", 1<<30)
		var wg sync.WaitGroup
		for i := range int64(5) { // two run, three are queued
			wg.Go(func() {
				_, err := f.ReadAt(t.Context(), make([]byte, unit), i*10*unit)
				if !errors.Is(err, errClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		f.Prefetch(image.Span{Off: 600 * unit, Len: unit})
		synctest.Wait()
		c.Close()
		wg.Wait()
		if v.active != 0 {
			t.Errorf("%d bodies are open", v.active)
		}
		if _, err := f.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, errClosed) {
			t.Errorf("a read after Close: %v", err)
		}
		f.Prefetch(image.Span{Len: unit})
		c.Close()
		if n := len(v.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAdd(t *testing.T) {
	v := &service{}
	c := newCache(t, v, 64*unit, 2)
	f := open(t, c, "a", 2*unit+5)
	for i := range int64(3) {
		s := BlockSpan(i, f.Size())
		if !f.Add(i, cachetest.Content("a", s.Off, s.Len)) {
			t.Errorf("block %d refused", i)
		}
		if f.Add(i, make([]byte, s.Len+1)) {
			t.Errorf("block %d accepted with a wrong length", i)
		}
	}
	if f.Add(3, nil) || f.Add(-1, make([]byte, unit)) {
		t.Error("a block outside the image is accepted")
	}
	expect(t, f, 0, 3*unit)
	p := make([]byte, 100)
	if n := f.Cached(p, 2*unit-50); n != 55 || len(v.requests()) != 0 {
		t.Errorf("cached %d, requests %v", n, v.requests())
	}
}

func TestAddBesideAFetch(t *testing.T) {
	// The block comes twice, by the whole stream and by a span: it counts once.
	synctest.Test(t, func(t *testing.T) {
		c, _, g := stalled(t, 2)
		f := open(t, c, "a", 1<<30)
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, f, 0, unit) })
		synctest.Wait()
		f.Add(0, cachetest.Content("a", 0, unit))
		expect(t, f, 0, unit)
		close(g)
		wg.Wait()
		if s := c.Stats(); s.Blocks != 1 || s.Memory != unit+blockOverhead {
			t.Errorf("stats %+v", s)
		}
	})
}
