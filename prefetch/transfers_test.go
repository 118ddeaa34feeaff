package prefetch

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What is loaded, and the stream that brings it, show with how far they are; and neither
// when it has ended.
func TestTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{wholeOnly: true, rate: mib}
		e, _ := engineOnDisk(t, v, gib)
		ctx, cancel := context.WithCancel(t.Context())
		var loading sync.WaitGroup
		begin := time.Now()
		loading.Go(func() { _ = e.Load(ctx, unchecked(100*mib), Part{Head: 50 * mib}, func(int64, int64) {}) })
		time.Sleep(20*time.Second + time.Millisecond)
		got := e.Transfers()
		if len(got) == 2 && got[0].Spool {
			got[0], got[1] = got[1], got[0]
		}
		want := []Transfer{
			{Image: "a", Total: 50 * mib, Since: begin},
			{Image: "a", Spool: true, Done: 20 * mib, Total: 100 * mib, Since: begin},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Transfer{}, "Done")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		} else if got[0].Done < 15*mib || got[0].Done > 20*mib || got[1].Done < 19*mib || got[1].Done > 21*mib {
			t.Errorf("after 20 MiB: %+v", got)
		}
		cancel()
		loading.Wait()
		synctest.Wait()
		if got := e.Transfers(); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
