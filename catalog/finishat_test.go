package catalog

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// A rename that was not answered, and is to be taken back, is that before a file is made at
// its old name: otherwise two images would have that.
func TestFinishAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		m := &mortal{service: newService(over, img), drafted: true}
		c := m.catalog(t, 7, new(bytes.Buffer)) // two looks, the journal, and the change without its answer
		listed(t, c)
		if _, err := c.Rename(t.Context(), img, "old", &over, m); err == nil || m.want()["old"] != img.ID {
			t.Fatalf("%v: %v", err, m.want())
		}
		m.left = 1 << 20
		if got := lookup(t, c, "new"); got != "" {
			t.Fatalf("it has its old name: %s", got)
		}
		synctest.Wait() // the one that had the name is asked for behind the lookup
		m.took()
		if err := c.FinishAt(t.Context(), "other"); err != nil || len(m.took()) > 0 {
			t.Errorf("what no rename is about: %v", err)
		}
		if err := c.FinishAt(t.Context(), "new"); !image.Is(err, image.Stale) {
			t.Errorf("the entry is taken again, and: %v", err)
		}
		want := map[string]string{"old": over.ID, "new": img.ID}
		if diff := cmp.Diff(want, m.want()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
		m.took()
		if err := c.FinishAt(t.Context(), "new"); err != nil || len(m.took()) > 0 {
			t.Errorf("it goes on: %v", err)
		}
	})
}
