package cache

import (
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestReadAtEnds(t *testing.T) {
	c := newCache(t, &service{}, 64*unit, 2)
	f := open(t, c, "a", 3*unit+100)
	for _, tt := range []struct {
		name   string
		off, n int64
		want   int
		eof    bool
	}{
		{"all", 0, 3*unit + 100, 3*unit + 100, false},
		{"across a boundary", unit - 10, 20, 20, false},
		{"into the tail", 3*unit + 90, 10, 10, false},
		{"over the end", 3*unit + 90, 11, 10, true},
		{"at the end", 3*unit + 100, 1, 0, true},
		{"far behind the end", 1 << 60, 1, 0, true},
		{"nothing", 5, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := make([]byte, tt.n)
			n, err := f.ReadAt(t.Context(), p, tt.off)
			if n != tt.want || errors.Is(err, io.EOF) != tt.eof || (err != nil && !tt.eof) {
				t.Fatalf("got %d, %v", n, err)
			}
			expect(t, f, tt.off, tt.n)
		})
	}
	if _, err := f.ReadAt(t.Context(), nil, -1); err == nil {
		t.Error("a negative offset is no error")
	}
	empty := open(t, c, "empty", 0)
	if n, err := empty.ReadAt(t.Context(), make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("empty image: %d, %v", n, err)
	}
}

func TestLoneSmallReadFetchesLittle(t *testing.T) {
	for _, off := range []int64{0, 4096, unit - 100, 777*unit + 13} {
		v := &service{}
		c := newCache(t, v, 64*unit, 4)
		expect(t, open(t, c, "a", 10<<30), off, 4096)
		if v.bytes > 256<<10 {
			t.Errorf("4 KiB at %d fetched %d bytes", off, v.bytes)
		}
		if len(v.requests()) != 1 {
			t.Errorf("4 KiB at %d took the requests %v", off, v.requests())
		}
	}
}

func TestRunsBecomeSpans(t *testing.T) {
	v := &service{}
	c := newCache(t, v, 512*unit, 1)
	f := open(t, c, "a", 1<<30)
	expect(t, f, 2*unit, unit)
	expect(t, f, 0, 6*unit) // missing: 0, 1 and 3, 4, 5
	want := []image.Span{{Off: 2 * unit, Len: unit}, {Off: 0, Len: 2 * unit}, {Off: 3 * unit, Len: 3 * unit}}
	got := v.requests()
	if len(got) != len(want) {
		t.Fatalf("requests %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestLongReadUsesLongSpans(t *testing.T) {
	v := &service{}
	c := newCache(t, v, 512*unit, 4)
	expect(t, open(t, c, "a", 1<<30), 0, 64<<20)
	for _, s := range v.requests() {
		if s.Len > MaxSpan {
			t.Errorf("span of %d bytes", s.Len)
		}
	}
	if n := len(v.requests()); n != 64<<20/MaxSpan {
		t.Errorf("%d requests for 64 MiB", n)
	}
}

func TestReadLargerThanBudget(t *testing.T) {
	for _, budget := range []int64{0, 1, unit, unit + blockOverhead, 3 * (unit + blockOverhead)} {
		v := &service{piece: 10007}
		c := newCache(t, v, budget, 2)
		f := open(t, c, "a", 40*unit+1)
		expect(t, f, 17, 39*unit)
		expect(t, f, 0, 40*unit+1)
		if s := c.Stats(); s.Memory > budget {
			t.Errorf("budget %d: %d in use", budget, s.Memory)
		}
	}
}

func TestOneFetchForManyReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{latency: time.Second}
		c := newCache(t, v, 64*unit, 8)
		f := open(t, c, "a", 1<<30)
		var wg sync.WaitGroup
		for i := range int64(32) {
			wg.Go(func() { expect(t, f, 5*unit+i*100, 100) })
		}
		wg.Wait()
		synctest.Wait() // the fetch itself ends after its last reader
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		if s := c.Stats(); s.Hits != 0 || s.Misses != 32 || s.Fetched != unit || s.Requests != 1 || s.Running != 0 {
			t.Errorf("stats %+v", s)
		}
		expect(t, f, 5*unit, unit)
		if s := c.Stats(); s.Hits != 1 {
			t.Errorf("stats after a hit %+v", s)
		}
	})
}

func TestNeighboursOfQueuedFetchesJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(0)}
		c := newCache(t, v, 512*unit, 1)
		f := open(t, c, "a", 1<<30)
		var wg sync.WaitGroup
		read := func(first, blocks int64) {
			wg.Go(func() { expect(t, f, first*unit, blocks*unit) })
			synctest.Wait()
		}
		read(100, 1) // takes the only place
		read(4, 2)
		read(6, 2) // behind it
		read(3, 1) // before it
		read(50, 1)
		close(g)
		wg.Wait()
		got := v.requests()
		want := []image.Span{{Off: 100 * unit, Len: unit}, {Off: 3 * unit, Len: 5 * unit}, {Off: 50 * unit, Len: unit}}
		if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("requests %v, want %v", got, want)
		}
	})
}

func TestBytesComeBeforeTheirSpanEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		v := &service{read: g.at(2 * unit)}
		c := newCache(t, v, 64*unit, 2)
		f := open(t, c, "a", 1<<30)
		f.Prefetch(image.Span{Len: MaxSpan})
		expect(t, f, 0, 2*unit) // the span stalls behind these
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		close(g)
		expect(t, f, 2*unit, MaxSpan-2*unit)
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests in the end", n)
		}
	})
}

func TestImagesAreForgotten(t *testing.T) {
	v := &service{}
	c := newCache(t, v, 4*(unit+blockOverhead), 2)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		img := record(id, unit)
		f := c.Open(img.Key("s"), img)
		expect(t, f, 0, unit)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(t.Context(), make([]byte, 1), 0); err == nil {
			t.Error("a closed file can be read")
		}
	}
	if s := c.Stats(); s.Images != 4 || s.Blocks != 4 {
		t.Errorf("stats %+v", s)
	}
	// Another size under the same key is another image.
	img := record("f", 2*unit)
	f := c.Open(img.Key("s"), img)
	defer f.Close() // always nil
	expect(t, f, 0, 2*unit)
}

// The service may say any size of an image.
func TestReadOfTheLargestImage(t *testing.T) {
	const size = math.MaxInt64
	c := newCache(t, &service{blank: true}, 64*unit, 2)
	f := open(t, c, "a", size)
	if n, err := f.ReadAt(t.Context(), make([]byte, 9), size-5); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
	v, err := f.View(t.Context(), size-5, 9)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	v.Release()
	if n := Blocks(size); n != 1<<46 {
		t.Errorf("%d blocks", n)
	}
}
