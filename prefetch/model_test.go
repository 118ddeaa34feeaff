package prefetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/image"
)

// TestModel: whatever several readers of two images do at once, within whatever
// budget, with and without ranges, a read gives the right bytes or an error that
// was made to happen, and in the end nothing is left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 16*unit).Draw(t, "size")
		memory := rapid.Int64Range(0, 30*unit).Draw(t, "memory")
		streams := rapid.IntRange(1, 4).Draw(t, "streams")
		workers := rapid.IntRange(1, 6).Draw(t, "workers")
		refused := rapid.Bool().Draw(t, "refused") // some whole streams fail for good
		seed := rapid.Uint64().Draw(t, "seed")

		gone := &image.Error{Op: "open", Kind: image.NotFound}
		var mu sync.Mutex
		chance := rand.New(rand.NewPCG(seed, 0))
		v := &service{
			wholeOnly: rapid.Bool().Draw(t, "without ranges"),
			open: func(image.Image) error {
				mu.Lock()
				defer mu.Unlock()
				if refused && chance.IntN(4) == 0 {
					return gone
				}
				return nil
			},
		}
		c := cache.New(cache.Options{Memory: memory, Streams: streams, Source: v})
		e := New(Options{Cache: c, Whole: v, Service: "s", Memory: memory, Streams: streams})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(w)+1))
				id := []string{"a", "b"}[r.IntN(2)]
				reader := e.Open(record(id, size))
				defer reader.Close() // always nil
				at := r.Int64N(size + 1)
				for range 8 {
					if r.IntN(3) == 0 {
						at = r.Int64N(size + 1)
					}
					p := make([]byte, 1+r.Int64N(3*unit))
					ctx, cancel := context.WithCancel(context.Background())
					cancelled := r.IntN(4) == 0
					if cancelled {
						go cancel()
					}
					n, err := reader.ReadAt(ctx, p, at)
					cancel()
					if !bytes.Equal(p[:n], cachetest.Content(id, at, int64(n))) {
						t.Errorf("wrong bytes: %d at %d of %d", n, at, size)
					}
					switch {
					case err == nil && n == len(p):
					case errors.Is(err, io.EOF) && int64(n) == size-at:
					case errors.Is(err, gone) && refused && v.wholeOnly:
					case errors.Is(err, context.Canceled) && cancelled:
					default:
						t.Errorf("read of %d at %d of %d: %d, %v", len(p), at, size, n, err)
					}
					at = min(at+int64(n), size)
				}
			})
		}
		wg.Wait()
		if st := e.Stats(); st.Readers != 0 || st.Spools != 0 {
			t.Errorf("in the end: %+v", st)
		}
		e.Close()
		c.Close()
		if st := e.Stats(); st.Running != 0 || st.Waiting != 0 || v.bodies != 0 || v.peak > max(1, streams-1) {
			t.Errorf("after Close: %+v, %d bodies, %d streams at once", st, v.bodies, v.peak)
		}
	})
}
