package prefetch

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func TestSpoolSequential(t *testing.T) {
	// Budgets from nothing to plenty: one stream, whatever they are.
	for _, memory := range []int64{0, unit / 2, 3 * unit, 64 * mib} {
		v := &service{wholeOnly: true}
		e := newEngine(t, v, memory, 4)
		r := open(t, e, "a", 10*mib+77)
		for off := int64(0); off < r.Size(); off += unit {
			expect(t, r, off, unit)
		}
		expect(t, r, r.Size(), 10)
		if n := v.streams(); n != 1 {
			t.Errorf("memory %d: %d streams", memory, n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpoolServesWhatHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 10 << 20}
		e := newEngine(t, v, 64*mib, 4)
		r := open(t, e, "a", gib)
		begin := time.Now()
		expect(t, r, 9*mib, mib)
		if took := time.Since(begin); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("10 MiB at 10 MiB/s took %v", took)
		}
		if s := e.o.Cache.Stats(); s.FromService != mib || s.FromMemory != 0 {
			t.Errorf("waited for: %+v", s)
		}
		expect(t, r, 0, 10*mib) // all of it is in memory
		if s := e.o.Cache.Stats(); s.FromService != mib || s.FromMemory != 10*mib {
			t.Errorf("from memory: %+v", s)
		}
		if took := time.Since(begin); took > 1100*time.Millisecond || v.streams() != 1 {
			t.Errorf("after %v, %d streams", took, v.streams())
		}
	})
}

func TestSpoolIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 50 << 20}
		e := newEngine(t, v, 64*mib, 4)
		var wg sync.WaitGroup
		for i := range int64(4) {
			r := open(t, e, "a", 12*mib)
			wg.Go(func() {
				for off := i * 2 * mib; off < 12*mib; off += unit {
					expect(t, r, off, unit)
				}
			})
		}
		wg.Wait()
		if n := v.streams(); n != 1 {
			t.Errorf("%d streams", n)
		}
		if n := v.moved(); n != 12*mib {
			t.Errorf("%d bytes", n)
		}
		if n := len(v.spans); n != 0 {
			t.Errorf("%d spans", n)
		}
	})
}

func TestSpoolStopsAheadOfItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true}
		e := newEngine(t, v, 16*mib, 4)
		r := open(t, e, "a", gib)
		expect(t, r, 0, unit)
		synctest.Wait()
		if got, want := v.moved(), unit+4*mib; got != want {
			t.Errorf("%d bytes were read, want %d", got, want)
		}
		if st := e.Stats(); st.Spools != 1 || st.Paused != 1 || st.Running != 1 {
			t.Errorf("stats %+v", st)
		}
		// A read of what is there pulls the stream on.
		expect(t, r, 2*mib, unit)
		synctest.Wait()
		if got, want := v.moved(), 2*mib+unit+4*mib; got != want {
			t.Errorf("%d bytes were read, want %d", got, want)
		}
		time.Sleep(spoolIdle + spoolYield)
		synctest.Wait()
		if st := e.Stats(); st.Running != 0 || v.bodies != 0 {
			t.Errorf("an idle stream goes on: %+v", st)
		}
		expect(t, r, 5*mib, unit) // still in memory
		if v.streams() != 1 {
			t.Errorf("%d streams", v.streams())
		}
		expect(t, r, 20*mib, unit)
		if v.streams() != 2 {
			t.Errorf("%d streams after the idle one", v.streams())
		}
	})
}

func TestSpoolBeginsAgainForWhatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 25 << 20}
		e := newEngine(t, v, mib, 4)
		near, far := open(t, e, "a", 40*mib), open(t, e, "a", 40*mib)
		expect(t, far, 25*mib, unit)
		var wg sync.WaitGroup
		var ends [2]time.Duration
		begin := time.Now()
		wg.Go(func() { // goes on where the stream is, without end
			for off := 25 * mib; off < 40*mib; off += unit {
				expect(t, far, off, unit)
			}
			ends[1] = time.Since(begin)
		})
		wg.Go(func() {
			expect(t, near, 0, unit)
			ends[0] = time.Since(begin)
		})
		wg.Wait()
		// It waits for a quarter of the way: 6 MiB of the 15.
		if ends[0] > 400*time.Millisecond {
			t.Errorf("who was behind waited %v", ends[0])
		}
		if n := v.streams(); n != 2 {
			t.Errorf("%d streams", n)
		}
		if ends[1] > 2500*time.Millisecond {
			t.Errorf("who was ahead took %v", ends[1])
		}
	})
}

func TestSpoolBreaks(t *testing.T) {
	reset := errors.New("connection reset")
	t.Run("once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var broke atomic.Bool
			v := &service{wholeOnly: true, read: func(_ context.Context, at int64) error {
				if at >= 3*unit && !broke.Swap(true) {
					return reset
				}
				return nil
			}}
			e := newEngine(t, v, 16*mib, 4)
			expect(t, open(t, e, "a", gib), 0, 8*unit)
			if n := v.streams(); n != 2 {
				t.Errorf("%d streams", n)
			}
		})
	})
	t.Run("always at the same place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := &service{wholeOnly: true, read: func(_ context.Context, at int64) error {
				if at >= 3*unit {
					return reset
				}
				return nil
			}}
			e := newEngine(t, v, 16*mib, 4)
			r := open(t, e, "a", gib)
			n, err := r.ReadAt(t.Context(), make([]byte, 8*unit), 0)
			if int64(n) != 3*unit || !errors.Is(err, reset) {
				t.Errorf("got %d, %v", n, err)
			}
			if n := v.streams(); n != spoolTries {
				t.Errorf("%d streams", n)
			}
			expect(t, r, unit, unit) // what came stays
			if n := v.streams(); n != spoolTries {
				t.Errorf("%d streams", n)
			}
		})
	})
	t.Run("for good", func(t *testing.T) {
		v := &service{wholeOnly: true, open: func(image.Image) error {
			return &image.Error{Op: "open", Kind: image.NotFound}
		}}
		e := newEngine(t, v, 16*mib, 4)
		if _, err := open(t, e, "a", gib).ReadAt(t.Context(), make([]byte, 1), 0); !image.Is(err, image.NotFound) {
			t.Errorf("got %v", err)
		}
		if n := v.streams(); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
	t.Run("too short", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := &service{wholeOnly: true}
			e := newEngine(t, v, 16*mib, 4)
			img := record("a", gib)
			short := &truncated{service: v}
			e.o.Whole = short
			r := e.Open(img)
			defer r.Close() // always nil
			if _, err := r.ReadAt(t.Context(), make([]byte, unit), 2*unit); !image.Is(err, image.Corrupt) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestSpoolWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 1 << 20}
		e := newEngine(t, v, 16*mib, 4)
		r := open(t, e, "a", gib)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.ReadAt(ctx, make([]byte, unit), 500*mib); !image.Is(err, image.Stalled) {
			t.Errorf("got %v", err)
		}
		// Nobody is left that needs the far block: the stream stops at its lead.
		time.Sleep(10 * time.Second)
		if n := v.moved(); n > 5*mib {
			t.Errorf("%d bytes for nobody", n)
		}
	})
}

func TestSpoolEndsWithItsLastReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 1 << 20}
		e := newEngine(t, v, 16*mib, 4)
		a, b := open(t, e, "a", gib), open(t, e, "a", gib)
		expect(t, a, 0, 1)
		expect(t, b, 0, 1)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v.bodies != 1 {
			t.Error("the stream ended with its first reader")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := e.Stats(); v.bodies != 0 || st.Spools != 0 || st.Running != 0 {
			t.Errorf("%d bodies, stats %+v", v.bodies, st)
		}
	})
}

func TestCloseOfTheEngineFailsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, read: func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }}
		e := newEngine(t, v, 16*mib, 2)
		var wg sync.WaitGroup
		for _, id := range []string{"a", "b", "b"} { // one place: one streams, one waits
			r := open(t, e, id, gib)
			wg.Go(func() {
				if _, err := r.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, errClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		e.Close()
		wg.Wait()
		r := open(t, e, "c", gib)
		if _, err := r.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// truncated ends every whole stream after two blocks and a half.
type truncated struct{ *service }

func (v *truncated) OpenWhole(ctx context.Context, img image.Image) (io.ReadCloser, error) {
	img.Size = 2*unit + unit/2
	return v.service.OpenWhole(ctx, img)
}

func TestReadsFarAheadPullNothing(t *testing.T) {
	// A block near the end is in memory from an earlier stream; reading it again
	// must not make a new stream run there.
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true}
		e := newEngine(t, v, 16*mib, 4)
		r := open(t, e, "a", 40*mib)
		expect(t, r, 39*mib, mib)
		time.Sleep(2 * spoolIdle)
		expect(t, r, 0, unit) // no longer in memory: a second stream
		before := v.moved()
		for range 10 {
			expect(t, r, 39*mib, unit)
			synctest.Wait()
		}
		if n := v.moved() - before; n > 4*mib {
			t.Errorf("%d bytes more", n)
		}
		if n := v.streams(); n != 2 {
			t.Errorf("%d streams", n)
		}
	})
}

// A service may say any size: whoever reads near the end of the largest waits for it.
func TestSpoolOfTheLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, &service{wholeOnly: true, blank: true, rate: mib}, 8*mib, 4)
		r := open(t, e, "a", math.MaxInt64)
		if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
		for _, back := range []int64{1, 4096, 8192, unit, unit + 1, 3 * mib} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if n, err := r.ReadAt(ctx, make([]byte, min(back, 4096)), math.MaxInt64-back); n != 0 || !image.Is(err, image.Stalled) {
				t.Errorf("%d before the end: %d, %v", back, n, err)
			}
			cancel()
		}
	})
}

// What the disk has and cannot give now comes by the stream.
func TestSpoolBesideDiskThatCannotBeRead(t *testing.T) {
	v := &service{wholeOnly: true}
	e, store := engineOnDisk(t, v, gib)
	img := unchecked(2 * mib)
	if err := e.Load(t.Context(), img, Part{}, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	e.o.Cache.Forget(func(image.Key) bool { return true }) // the last reference: the files are closed
	for limit := time.Now().Add(time.Minute); opensData(t) && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	r := e.Open(img)
	defer r.Close()

	withoutDescriptors(t, func() { expect(t, r, unit-10, 20) })
	if held := onDisk(store, img); held != img.Size || v.streams() != 2 {
		t.Errorf("%d bytes on disk, %d streams", held, v.streams())
	}
}

// opensData reports whether this process has a file of blocks open.
func opensData(t *testing.T) bool {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(open, func(fd string) bool {
		to, err := os.Readlink(fd)
		return err == nil && strings.HasSuffix(to, ".data")
	})
}

// withoutDescriptors calls fn while this process can open no file.
func withoutDescriptors(t *testing.T, fn func()) {
	t.Helper()
	var had unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &had); err != nil {
		t.Fatal(err)
	}
	set := func(l unix.Rlimit) {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &l, nil); err != nil {
			t.Fatal(err)
		}
	}
	defer set(had)
	set(unix.Rlimit{Cur: 0, Max: had.Max})
	fn()
}
