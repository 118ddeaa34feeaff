package prefetch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// What is spooled and turns out to be wrong is served to nobody any more: who has it open
// gets an error, also who waits, and who opens it then has a stream of its own.
func TestSpoolOfWrongBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 20 * mib
		var stalled atomic.Bool
		stalled.Store(true)
		v := &service{wholeOnly: true, read: func(ctx context.Context, at int64) error {
			if stalled.Load() && at >= 8*mib {
				return image.Pause(ctx, time.Second)
			}
			return nil
		}}
		e := newEngine(t, v, 64*mib, 4)
		old, other := open(t, e, "a", size), open(t, e, "a", size)
		expect(t, old, 0, mib)
		expect(t, other, mib, unit)
		waits := make(chan error)
		go func() {
			_, err := other.ReadAt(t.Context(), make([]byte, unit), 10*mib)
			waits <- err
		}()
		synctest.Wait()
		e.o.Cache.Drop(old.key)
		stalled.Store(false)
		if err := <-waits; !image.Is(err, image.Corrupt) {
			t.Errorf("waiting for wrong bytes: %v", err)
		}
		r := open(t, e, "a", size)
		for off := int64(0); off < size; off += mib {
			expect(t, r, off, mib)
			for _, r := range []*Reader{old, other} {
				if n, err := r.ReadAt(t.Context(), make([]byte, 10), off); n != 0 || !image.Is(err, image.Corrupt) {
					t.Fatalf("reading wrong bytes: %d, %v", n, err)
				}
			}
		}
		for _, r := range []*Reader{old, other, r} {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := e.Stats(); s.Spools != 0 || s.Running != 0 || v.streams() != 2 {
			t.Errorf("%+v, %d streams", s, v.streams())
		}
	})
}
