package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

var errModel = errors.New("made to fail")

// TestModel: whatever is read, abandoned, cancelled and closed at once, within
// whatever budget, a read gives the right bytes or an error, and in the end nothing
// runs, nothing is queued and the budget holds.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 80*unit).Draw(t, "size")
		budget := rapid.Int64Range(0, 20*unit).Draw(t, "budget")
		streams := rapid.IntRange(1, 4).Draw(t, "streams")
		failures := rapid.IntRange(0, 30).Draw(t, "failures in percent")
		workers := rapid.IntRange(1, 6).Draw(t, "workers")
		seed := rapid.Uint64().Draw(t, "seed")

		var mu sync.Mutex
		chance := rand.New(rand.NewPCG(seed, 0))
		fails := func() error {
			mu.Lock()
			defer mu.Unlock()
			if chance.IntN(100) < failures {
				return errModel
			}
			return nil
		}
		v := &service{
			piece: rapid.Int64Range(unit/3, 3*unit).Draw(t, "piece"),
			open:  func(image.Span) error { return fails() },
			read:  func(context.Context, int64) error { return fails() },
		}
		var store *disk.Store
		if rapid.Bool().Draw(t, "disk") {
			dir, err := os.MkdirTemp("", "cache")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir) //nolint:errcheck // the temporary directory goes anyway
			limit := rapid.Int64Range(unit, 100*unit).Draw(t, "limit of the disk")
			if store, err = disk.Open(disk.Options{Dir: dir, Limit: limit, BlockSize: BlockSize}); err != nil {
				t.Fatal(err)
			}
			defer store.Close()
		}
		long := rapid.Bool().Draw(t, "long")
		c := New(Options{Memory: budget, Streams: streams, Source: v, Disk: store, Long: func() bool { return long }})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { work(t, c, rand.New(rand.NewPCG(seed, uint64(w)+1)), size, failures) })
		}
		wg.Wait()
		if s := c.Stats(); s.Memory > budget || s.QueuedDemand != 0 || s.QueuedPrefetch != 0 {
			t.Errorf("in the end: %+v", s)
		}
		c.Close()
		if len(c.resting) != 0 {
			t.Errorf("%d requests wait for a reader", len(c.resting))
		}
		if v.active != 0 || v.peak > streams {
			t.Errorf("%d bodies open, %d at most, %d allowed", v.active, v.peak, streams)
		}
		check(t, c)
	})
}

// work is one reader's random life.
func work(t *rapid.T, c *Cache, r *rand.Rand, size int64, failures int) {
	id := []string{"a", "b"}[r.IntN(2)]
	img := record(id, size)
	f := c.Open(img.Key("s"), img)
	defer f.Close() // always nil
	for range 12 {
		off := r.Int64N(size + 10)
		span := image.Span{Off: r.Int64N(size), Len: r.Int64N(40 * unit)}
		switch r.IntN(5) {
		case 0:
			f.Prefetch(span)
			continue
		case 1:
			f.Abandon(span)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancelled := r.IntN(4) == 0
		if cancelled {
			go cancel()
		}
		p := make([]byte, 1+r.Int64N([]int64{100, unit, 20 * unit}[r.IntN(3)]))
		n, err := readSomehow(ctx, r, f, p, off, span)
		cancel()
		if !bytes.Equal(p[:n], cachetest.Content(id, off, int64(n))) {
			t.Errorf("wrong bytes: %d at %d of %d", n, off, size)
		}
		switch {
		case err == nil && n == len(p):
		case errors.Is(err, io.EOF) && int64(n) == max(0, size-off):
		case errors.Is(err, errModel) && failures > 0:
		case errors.Is(err, context.Canceled) && cancelled:
		default:
			t.Errorf("read of %d at %d of %d: %d, %v", len(p), off, size, n, err)
		}
	}
}

// readSomehow copies into p or reads in place.
func readSomehow(ctx context.Context, r *rand.Rand, f *File, p []byte, off int64, ahead image.Span) (int, error) {
	if r.IntN(2) == 0 {
		n, err := f.ReadAt(ctx, p, off, ahead)
		return n, err
	}
	v, err := f.View(ctx, off, int64(len(p)), ahead)
	if v == nil {
		return 0, err
	}
	defer v.Release()
	return copy(p, bytes.Join(v.Slices(), nil)), err
}

// check looks for references that nobody gave back.
func check(t *rapid.T, c *Cache) {
	var used int64
	for _, id := range c.memory.order.Keys() {
		b, _ := c.memory.order.Peek(id)
		used += b.cost()
		if b.refs != 1 {
			t.Errorf("block %d has %d references", id.index, b.refs)
		}
	}
	if used != c.memory.used {
		t.Errorf("%d bytes resident, %d counted", used, c.memory.used)
	}
	for _, e := range c.images {
		if len(e.pending) != 0 || e.files != 0 || e.resident == 0 {
			t.Errorf("left of an image: %d pending, %d files, %d resident", len(e.pending), e.files, e.resident)
		}
	}
	if c.running != 0 || c.ahead != 0 {
		t.Errorf("%d running, %d ahead", c.running, c.ahead)
	}
}
