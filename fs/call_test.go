package fs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who only looks whether a request is over sees its deadline and the end of the mount
// as whoever waits does.
func TestCallEndsUnwatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		defer end()
		f := newFS(life, newHouse().rooms(), Options{}, tuning{})
		bounded, other := f.beginBounded(t.Context()), f.begin(t.Context())
		defer bounded.end()
		defer other.end()
		time.Sleep(directoryBound)
		if err := bounded.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
		<-bounded.Done()
		if err := other.Err(); err != nil {
			t.Errorf("without a deadline: %v", err)
		}
		end()
		if err := other.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("after the mount: %v", err)
		}
		<-other.Done()
	})
}

// A draft that goes on being shown after its end makes no request wait, or work, for
// longer than any may under the lock of the directory.
func TestCreateOverWhatIsNeverPutAway(t *testing.T) {
	for name, known := range map[string]bool{"forgotten here": false, "known here": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				looks := 0
				h.hook = func(_ context.Context, op, _ string) error {
					if op == "lookup" {
						looks++
					}
					return nil
				}
				f := newFS(t.Context(), h.rooms(), Options{}, tuning{})
				h.MoveDraft("ended", "a")
				if known {
					d := &draft{fs: f, node: &node{fs: f}, closed: true}
					d.node.draft, f.drafts["ended"] = d, d
				}
				began := time.Now()
				c := f.beginBounded(t.Context())
				defer c.end()
				_, err := f.root.create(c, "a", 0, &handleChanges{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if took, most := time.Since(began), int(directoryBound/putAway)+1; took != directoryBound || looks > most {
					t.Errorf("it took %v and looked %d times, most is %d", took, looks, most)
				}
			})
		})
	}
}
