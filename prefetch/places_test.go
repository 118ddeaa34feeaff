package prefetch

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlacesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		if err := p.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		var order []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 4 {
			wg.Go(func() {
				c := t.Context()
				if i == 1 {
					c = ctx
				}
				if err := p.take(c); err != nil {
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				p.give()
			})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		if wanted, contended := p.wanted(); !contended || wanted != time.Second || p.waiting() != 3 {
			t.Errorf("wanted %v, %v, %d", wanted, contended, p.waiting())
		}
		p.give()
		wg.Wait()
		if len(order) != 3 || order[0] != 0 || order[1] != 2 || order[2] != 3 {
			t.Errorf("order %v", order)
		}
		if p.taken() != 0 {
			t.Errorf("%d taken", p.taken())
		}
	})
}

func TestPausedSpoolGivesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 100 << 20}
		e := newEngine(t, v, 16*mib, 2) // one place
		a, b := open(t, e, "a", gib), open(t, e, "b", gib)
		expect(t, a, 0, unit)
		begin := time.Now()
		expect(t, b, 0, unit)
		if took := time.Since(begin); took > 2*spoolYield {
			t.Errorf("waited %v for a paused stream", took)
		}
		if v.peak != 1 {
			t.Errorf("%d streams at once", v.peak)
		}
	})
}

func TestSlowReaderGivesItsPlaceInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 100 << 20}
		e := newEngine(t, v, 16*mib, 2) // one place
		a, b := open(t, e, "a", gib), open(t, e, "b", gib)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // reads a block each second: its stream never pauses for long
			for off := int64(0); ctx.Err() == nil; off += unit {
				expect(t, a, off, unit)
				time.Sleep(time.Second)
			}
		})
		time.Sleep(time.Minute)
		begin := time.Now()
		expect(t, b, 0, unit)
		if took := time.Since(begin); took < spoolTenure/2 || took > spoolTenure+2*spoolYield {
			t.Errorf("waited %v", took)
		}
		cancel()
		wg.Wait()
	})
}

func TestSpoolsLeaveAPlaceToSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: 1 << 19}
		e := newEngine(t, v, 16*mib, 4)
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			r := open(t, e, id, gib)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				if _, err := r.ReadAt(ctx, make([]byte, 1), 900*mib); err == nil {
					t.Error("the far block came")
				}
			}()
		}
		synctest.Wait()
		if st := e.Stats(); st.Running != 3 || st.Waiting != 2 {
			t.Errorf("stats %+v", st)
		}
		time.Sleep(30 * time.Second)
	})
}
