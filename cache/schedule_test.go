package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/image"
)

// timetable is what readers do to one image on a simulated clock: each begins, and some
// give up, at a time of its own.
type timetable struct {
	seed  uint64
	size  int64
	reads []timedRead
	fails int // percent of the requests, and of the pieces of bodies, that end by an error
}

type timedRead struct {
	at, patience time.Duration // patience 0: for ever
	off, n       int64
}

func drawTimetable(seed uint64, fails int) timetable {
	r := rand.New(rand.NewPCG(seed, 3))
	t := timetable{seed: seed, size: (20+r.Int64N(40))*unit + r.Int64N(unit), fails: fails}
	for range 24 {
		read := timedRead{at: time.Duration(r.Int64N(int64(2 * time.Second))), off: r.Int64N(t.size), n: 1 + r.Int64N(12*unit)}
		if r.IntN(3) == 0 {
			read.patience = time.Duration(1 + r.Int64N(int64(300*time.Millisecond)))
		}
		t.reads = append(t.reads, read)
	}
	return t
}

// event is something that happened.
type event struct {
	At   time.Duration
	What string
}

// run keeps to the timetable and returns what happened, in order. How long the service
// takes, and whether it fails, depends on what it is asked, and how often it was before:
// what happens at one moment has no order.
func (p timetable) run(t *testing.T) (events []event) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex // guards events, asked and failed
		asked := map[int64]uint64{}
		failed := false
		happened := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, event{time.Since(start), fmt.Sprintf(format, args...)})
		}
		pause := func(ctx context.Context, at int64) error {
			mu.Lock()
			asked[at]++
			chance := rand.New(rand.NewPCG(p.seed+uint64(at)<<20, asked[at]))
			wait := time.Duration(1 + chance.Int64N(int64(20*time.Millisecond)))
			fails := chance.IntN(100) < p.fails
			failed = failed || fails
			mu.Unlock()
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			if fails {
				return errModel
			}
			return nil
		}
		v := &service{read: pause, piece: unit}
		v.open = func(s image.Span) error {
			happened("request %d+%d", s.Off/unit, s.Len)
			return pause(context.Background(), ^s.Off)
		}
		c := newCache(t, v, 4096*unit, 4)
		f := open(t, c, "a", p.size)
		var wg sync.WaitGroup
		for i, r := range p.reads {
			wg.Go(func() {
				time.Sleep(r.at)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if r.patience > 0 {
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(r.patience, cancel)
				}
				defer cancel()
				buf := make([]byte, r.n)
				n, err := f.ReadAt(ctx, buf, r.off)
				took := time.Since(start) - r.at
				happened("reader %d has %d: %v", i, n, err)
				if !bytes.Equal(buf[:n], cachetest.Content("a", r.off, int64(n))) {
					t.Errorf("reader %d has wrong bytes", i)
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && int64(n) == r.n, errors.Is(err, io.EOF) && int64(n) == p.size-r.off:
				case errors.Is(err, context.Canceled) && r.patience > 0 && took == r.patience: // at once
				case errors.Is(err, errModel) && failed:
				default:
					t.Errorf("reader %d has %d of %d after %v (patience %v): %v", i, n, r.n, took, r.patience, err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if s := c.Stats(); s.Running != 0 || s.QueuedDemand != 0 || s.QueuedPrefetch != 0 {
			t.Errorf("in the end: %+v", s)
		}
		if v.peak > 4 || v.active != 0 {
			t.Errorf("%d bodies open, %d at most", v.active, v.peak)
		}
		again := slices.ContainsFunc(p.reads, func(r timedRead) bool { return r.patience > 0 })
		for b, times := range p.asked(v.requests()) {
			if times > 1 && p.fails == 0 && !again {
				t.Errorf("block %d was asked for %d times", b, times)
			}
		}
	})
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.What, b.What)) })
	return events
}

// asked counts in how many requests each block was.
func (p timetable) asked(spans []image.Span) map[int64]int {
	n := map[int64]int{}
	for _, s := range spans {
		for b := s.Off / unit; b*unit < s.End(); b++ {
			n[b]++
		}
	}
	return n
}

// Readers of overlapping spans that come at any time, give up at any time and meet any
// error get each block by one request where nobody gives up and nothing fails, end at the
// moment at which they give up, and cost the others nothing. The same timetable has the
// same course.
func TestTimetables(t *testing.T) {
	for seed := range uint64(3) {
		for _, fails := range []int{0, 8} {
			for _, patient := range []bool{true, false} {
				p := func() timetable {
					p := drawTimetable(seed, fails)
					for i := range p.reads {
						if patient {
							p.reads[i].patience = 0
						}
					}
					return p
				}
				first := p().run(t)
				if diff := gocmp.Diff(first, p().run(t)); diff != "" || len(first) < len(p().reads) {
					t.Errorf("seed %d, fails %d, patient %v: another course: %s", seed, fails, patient, diff)
				}
				if t.Failed() {
					t.Fatalf("seed %d, fails %d, patient %v:\n%v", seed, fails, patient, first)
				}
			}
		}
	}
}
