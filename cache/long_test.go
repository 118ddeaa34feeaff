package cache

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// ahead4 is a prefetch that a long request is made for.
const ahead4 = 4 * MaxSpan

// dear starts a cache whose prefetches are long.
func dear(t *testing.T, v *service, streams int) *Cache {
	c := New(Options{Memory: 1 << 30, Streams: streams, Source: v, Long: func() bool { return true }})
	t.Cleanup(c.Close)
	return c
}

// part is the n-th of the prefetches of a sequential reader.
func part(n int64) image.Span { return image.Span{Off: n * ahead4, Len: ahead4} }

// TestLongRequest: what a reader wants one after another comes in one request, whether
// that has come so far already or not, until it is long enough; nothing comes that nobody
// wants.
func TestLongRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{blank: true, latency: time.Millisecond}
		c := dear(t, v, 4)
		size := int64(2*mostLong*BlockSize + 5)
		f := open(t, c, "a", size)
		f.Prefetch(part(0), part(1))
		synctest.Wait()
		time.Sleep(longPatience / 2)
		if s := c.Stats(); s.Fetched != 2*ahead4 || s.Running != 1 {
			t.Fatalf("while the reader has what it wants: %+v", s)
		}
		for n := int64(2); n*ahead4 < size; n++ {
			f.Prefetch(part(n))
			time.Sleep(longPatience / 2)
		}
		first := int64(ahead4 + mostLong*BlockSize)
		want := []image.Span{{Len: first}, {Off: first, Len: size - first}}
		if got := v.requests(); !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
		}
		if s := c.Stats(); s.Fetched != size || s.Running != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestLongRequestEnds: one whose reader has gone, or is too slow, gives its place back.
func TestLongRequestEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(f *File)
		in   time.Duration
	}{
		{"the reader pauses", func(*File) {}, longPatience},
		{"the reader goes elsewhere", func(f *File) { f.Prefetch(image.Span{Off: 1 << 30, Len: unit}) }, longPatience},
		{"more is wanted than it asked for", func(f *File) { f.Prefetch(image.Span{Off: ahead4, Len: mostLong*BlockSize + 1}) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &service{blank: true}
				c := dear(t, v, 8)
				f := open(t, c, "a", 2<<30)
				f.Prefetch(part(0))
				synctest.Wait()
				c.mu.Lock()
				first := f.of.long
				c.mu.Unlock()
				over := func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					return first.over
				}
				tt.do(f)
				time.Sleep(tt.in - time.Nanosecond)
				synctest.Wait()
				if tt.in > 0 && over() {
					t.Error("it has ended before its time")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !over() {
					t.Error("it goes on")
				}
				time.Sleep(longPatience)
				if s := c.Stats(); s.Running != 0 {
					t.Errorf("in the end: %+v", s)
				}
			})
		})
	}
}

// TestLongRequestYields: a place that is not used goes to who waits for one at once, and
// while others wait each gets no more than what it has wanted.
func TestLongRequestYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{blank: true}
		c := dear(t, v, 2) // one of the places is for prefetches
		a, b := open(t, c, "a", 1<<30), open(t, c, "b", 1<<30)
		a.Prefetch(part(0))
		synctest.Wait()
		started := time.Now()
		b.Prefetch(part(0))
		synctest.Wait()
		if got := v.requests(); len(got) != 2 || time.Since(started) > 0 {
			t.Fatalf("requests %v after %v", got, time.Since(started))
		}
		time.Sleep(2 * longPatience)

		g := make(gate)
		v.read = g.at(0)
		a.Prefetch(part(10))
		synctest.Wait()
		b.Prefetch(part(10))
		a.Prefetch(part(11))
		close(g)
		synctest.Wait()
		if got, want := v.requests()[3:], []image.Span{part(10), part(11)}; got[0] != want[0] || got[1].Off != want[1].Off {
			t.Errorf("requests %v", got)
		}
	})
}

// TestLongRequestIsPassed: who reads far ahead of it gets a request of his own, and the
// long one ends where that begins.
func TestLongRequestIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(unit)}
		c := dear(t, v, 4)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Len: 64 << 20})
		synctest.Wait()
		var wg sync.WaitGroup
		far := (ownBehind + 8) * unit
		wg.Go(func() { expect(t, f, far, unit) })
		synctest.Wait()
		f.Prefetch(image.Span{Off: 64 << 20, Len: MaxSpan})
		close(g)
		wg.Wait()
		expect(t, f, 0, 64<<20+MaxSpan)
		synctest.Wait()
		c.mu.Lock()
		if len(c.resting) != 1 {
			t.Errorf("%d requests wait for the reader", len(c.resting))
		}
		c.mu.Unlock()
		time.Sleep(2 * longPatience)
		if s := c.Stats(); s.Fetched != 64<<20+MaxSpan || s.Running != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestShortPrefetchIsNotLong: who has read little has not shown that he reads on.
func TestShortPrefetchIsNotLong(t *testing.T) {
	v := &service{}
	c := dear(t, v, 4)
	f := open(t, c, "a", 1<<30)
	f.Prefetch(image.Span{Len: (leastLong - 1) * unit})
	expect(t, f, 0, (leastLong-1)*unit)
	expect(t, f, 1<<29, MaxSpan) // nor does who waits for what he reads
	want := []image.Span{{Len: (leastLong - 1) * unit}, {Off: 1 << 29, Len: MaxSpan}}
	if got := v.requests(); !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
}
