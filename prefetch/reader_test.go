package prefetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestSequentialReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{latency: 20 * time.Millisecond, rate: 50 << 20}
		e := newEngine(t, v, 128*mib, 16)
		r := open(t, e, "a", 64*mib+5)
		begin := time.Now()
		for off := int64(0); off < r.Size(); off += unit {
			expect(t, r, off, unit)
		}
		took := time.Since(begin)
		if n := len(v.spans); n > 64 { // of 1 MiB or more, but for the first window
			t.Errorf("%d requests for 64 MiB", n)
		}
		if v.bytes != r.Size() {
			t.Errorf("%d bytes fetched for %d", v.bytes, r.Size())
		}
		// One connection alone would take 1.28 s and its round trips.
		if took > 800*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if st := e.Stats(); st.Readers != 1 || st.Streaming != 1 || st.Spools != 0 || st.Windows != 1 || st.Ahead < 512<<10 || st.Ahead > 64*mib || st.Widest != st.Ahead {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestKernelReadAhead(t *testing.T) {
	// Four READs at once, as the kernel's readahead sends them.
	synctest.Test(t, func(t *testing.T) {
		v := &service{latency: 20 * time.Millisecond, rate: 50 << 20}
		e := newEngine(t, v, 128*mib, 16)
		r := open(t, e, "a", 32*mib)
		var wg sync.WaitGroup
		next := make(chan int64)
		for range 4 {
			wg.Go(func() {
				for off := range next {
					expect(t, r, off, unit)
				}
			})
		}
		for off := int64(0); off < r.Size(); off += unit {
			next <- off
		}
		close(next)
		wg.Wait()
		if n := len(v.spans); n > 48 { // 16 of 2 MiB, and the smaller ones of the first windows
			t.Errorf("%d requests for 32 MiB", n)
		}
		if v.bytes != r.Size() {
			t.Errorf("%d bytes fetched for %d", v.bytes, r.Size())
		}
	})
}

func TestRandomReaderFetchesNothingAhead(t *testing.T) {
	v := &service{}
	e := newEngine(t, v, 64*mib, 4)
	r := open(t, e, "a", 100*gib)
	g := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		expect(t, r, g.Int64N(100*gib-4096), 4096)
	}
	if v.bytes > 200*2*unit {
		t.Errorf("%d KiB for 200 reads", v.bytes/kib)
	}
}

func TestCloseEndsPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := func(ctx context.Context, at int64) error {
			if at < 2*unit {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		v := &service{read: stuck}
		e := newEngine(t, v, 64*mib, 4)
		r := open(t, e, "a", gib)
		expect(t, r, 0, unit)
		expect(t, r, unit, unit)
		synctest.Wait()
		if v.bodies == 0 {
			t.Fatal("nothing is fetched ahead")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v.bodies != 0 {
			t.Errorf("%d requests go on", v.bodies)
		}
		if _, err := r.ReadAt(t.Context(), make([]byte, 1), 0); err == nil {
			t.Error("a closed reader can be read")
		}
	})
}

func TestReadersShareTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{}
		e := newEngine(t, v, 64*mib, 16)
		if got := e.means(time.Now()).bytes; got != 32*mib {
			t.Errorf("limit %d for nobody", got)
		}
		for _, id := range []string{"a", "b", "c", "d"} {
			r := open(t, e, id, gib)
			expect(t, r, 0, unit)
			expect(t, r, unit, unit)
		}
		if got := e.means(time.Now()).bytes; got != 8*mib {
			t.Errorf("limit %d for each of four", got)
		}
		time.Sleep(2 * recent)
		if got := e.means(time.Now()).bytes; got != 32*mib {
			t.Errorf("limit %d when all are idle", got)
		}
		small := newEngine(t, &service{}, gib, 1)
		if got := small.means(time.Now()).bytes; got != 4*mib {
			t.Errorf("limit %d with one stream", got)
		}
	})
}

func TestFailureReachesTheReader(t *testing.T) {
	v := &service{read: func(context.Context, int64) error {
		return &image.Error{Op: "read", Kind: image.Forbidden}
	}}
	e := newEngine(t, v, 64*mib, 4)
	r := open(t, e, "a", gib)
	if _, err := r.ReadAt(t.Context(), make([]byte, 1), 0); !image.Is(err, image.Forbidden) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v.read = func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }
	if _, err := r.ReadAt(ctx, make([]byte, 1), 0); !image.Is(err, image.Interrupted) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestClockSetBack: who has not read since counts as streaming no longer for it.
func TestClockSetBack(t *testing.T) {
	e := newEngine(t, &service{}, 64*mib, 4)
	r := open(t, e, "a", 100*mib)
	r.streamed.Store(time.Now().Add(time.Hour).UnixNano())
	if st := e.Stats(); st.Streaming != 0 {
		t.Errorf("%d readers are streaming", st.Streaming)
	}
}
