package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/fault"
)

const (
	// lockBound is how long an operation has the kernel's lock of the directory at the most.
	lockBound = 10 * time.Second
	// lockSlack is for a busy machine: there are no pauses between tries of a commit here.
	lockSlack = 5 * time.Second
	// lockStall is a --stall-timeout with which nothing but lockBound ends such an operation: a
	// request is tried again for a quarter of it.
	lockStall = 2 * time.Minute
)

// locks reports whether the operation runs under the kernel's lock of the directory, or
// ends as early because it comes right after one that does.
func (o operation) locks() bool {
	return slices.Contains([]string{"stat", "stat in .by-id", "open", "create", "rename", "rename over another", "unlink"}, o.name)
}

// TestLockBound: whatever the --stall-timeout, a service that does not answer keeps nobody
// out of the directory for longer than the bound.
func TestLockBound(t *testing.T) {
	for _, o := range operations {
		if !o.locks() || o.world.keystone {
			continue
		}
		t.Run(o.kind.String()+"/"+o.name, func(t *testing.T) {
			t.Parallel()
			o.world.stall = lockStall
			w, err := spare.take(t.Context(), o.world)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if t.Failed() {
					t.Logf("the daemon's log ends so:\n%s", w.daemon.Tail())
				}
				if err := w.kill(); err != nil { // what was not answered it would look after for long
					t.Error(err)
				}
			}()
			a, err := o.begin(t.Context(), w)
			if err != nil {
				t.Fatalf("before the fault: %v", err)
			}
			if err := w.proxy.Set(fault.Rule{Kind: o.kind, Fault: fault.BlackHole, Times: fault.Always}); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			got := a.do()
			took := time.Since(begun)
			t.Logf("%v after %v: %v", answerOf(got), took.Round(time.Millisecond), got)
			if w.proxy.Hits() == 0 {
				t.Error("no request has met the fault")
			}
			if answerOf(got) != "EIO" || took > lockBound+lockSlack {
				t.Errorf("%v after %v, want EIO within %v", got, took, lockBound)
			}
		})
	}
}
