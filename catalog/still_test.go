package catalog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestStill: a listing tells which of its entries stand for something else by now, or for
// nothing, whether it is complete or still comes.
func TestStill(t *testing.T) {
	for _, complete := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(ours(1, "stays"), ours(2, "renamed"), ours(3, "removed"), ours(4, "written"), ours(5, "last"))
			s.slow(time.Second)
			c := newCatalog(t, s)
			if complete {
				listed(t, c)
			}
			read := func(list func(context.Context) (*Listing, error)) (*Listing, []Entry) {
				l, err := list(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var entries []Entry
				for i := range 4 {
					e, _, err := l.At(t.Context(), i)
					if err != nil || !l.Still(e) {
						t.Fatalf("%+v, %v", e, err)
					}
					entries = append(entries, e)
				}
				return l, entries
			}
			names, byName := read(c.List)
			ids, byID := read(c.IDs)
			if _, err := c.Rename(t.Context(), ours(2, "renamed"), "name", nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.Remove(t.Context(), ours(3, "").ID); err != nil {
				t.Fatal(err)
			}
			if err := c.AddDraft("written", draft("d")); err != nil {
				t.Fatal(err)
			}
			s.took()
			for i, want := range []bool{true, false, false, false} {
				if names.Still(byName[i]) != want {
					t.Errorf("complete %v: %s is not %v", complete, byName[i].Name, want)
				}
			}
			for i, want := range []bool{true, true, false, true} {
				if ids.Still(byID[i]) != want {
					t.Errorf("complete %v: the id of %s is not %v", complete, byName[i].Name, want)
				}
			}
			wantRequests(t, s)
		})
	}
}
