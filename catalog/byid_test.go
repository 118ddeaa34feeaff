package catalog

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		community := ours(1, "c")
		community.Owner, community.Visibility = "theirs", image.VisibilityCommunity
		s := newService(community, ours(2, "b"))
		c := newCatalog(t, s)
		id := community.ID
		if img, err := c.ByID(t.Context(), id); err != nil || img.Name != "c" {
			t.Fatalf("ByID: %v %v", img, err)
		}
		if _, err := c.ByID(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		wantRequests(t, s, "get "+id)
		if got := listed(t, c); len(got) != 1 {
			t.Errorf("it shows in the root: %v", got)
		}
		s.took()
		if _, err := c.ByID(t.Context(), ours(2, "").ID); err != nil {
			t.Fatal(err)
		}
		wantRequests(t, s) // the listing has it
		for _, id := range []string{"x", "", "../../../../../../../../../etc/passwd"} {
			if _, err := c.ByID(t.Context(), id); !image.Is(err, image.NotFound) {
				t.Errorf("ByID(%q): %v", id, err)
			}
		}
		wantRequests(t, s)
		c.Forget(ours(2, "").ID)
		if _, err := c.ByID(t.Context(), ours(2, "").ID); !image.Is(err, image.NotFound) {
			t.Errorf("a forgotten image: %v", err)
		}
		s.drop(id)
		time.Sleep(DefaultTTL)
		for range 2 {
			if _, err := c.ByID(t.Context(), id); !image.Is(err, image.NotFound) {
				t.Errorf("ByID of a deleted image: %v", err)
			}
		}
		wantRequests(t, s, "get "+id)
		ids, err := readAll(t.Context(), c.IDs)
		if err != nil || len(ids) != 0 {
			t.Errorf("IDs: %v %v", ids, err)
		}
	})
}

// TestByIDAndOwnChanges: what was changed while the request was on its way is
// newer than its answer, and what the answer says of a listed image shows.
func TestByIDAndOwnChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, three := ours(1, "one"), ours(2, "two"), ours(3, "three")
		s := newService(one, two, three)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.slow(time.Second)
		var group sync.WaitGroup
		group.Go(func() {
			if img, err := c.ByID(t.Context(), one.ID); err != nil || img.Name != "uno" {
				t.Errorf("renamed meanwhile: %q, %v", img.Name, err)
			}
		})
		group.Go(func() {
			if _, err := c.ByID(t.Context(), two.ID); !image.Is(err, image.NotFound) {
				t.Errorf("removed meanwhile: %v", err)
			}
		})
		time.Sleep(700 * time.Millisecond) // the answers are on their way
		c.Put(ours(1, "uno"))
		c.Forget(two.ID)
		group.Wait()
		s.drop(three.ID)
		if _, err := c.ByID(t.Context(), three.ID); !image.Is(err, image.NotFound) {
			t.Errorf("deleted elsewhere: %v", err)
		}
		s.set(ours(1, "uno dos"))
		s.drop(two.ID)
		time.Sleep(DefaultTTL)
		if _, err := c.ByID(t.Context(), one.ID); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]string{"uno dos": one.ID}, remembered(c)); diff != "" {
			t.Error(diff)
		}
		ids, err := readAll(t.Context(), c.IDs)
		if err != nil || len(ids) != 1 || ids[0].Name != one.ID {
			t.Errorf("IDs: %v, %v", ids, err)
		}
		s.failing("get", failure(image.Unreachable))
		s.slow(0)
		time.Sleep(DefaultTTL)
		if img, err := c.ByID(t.Context(), one.ID); err != nil || img.Name != "uno dos" {
			t.Errorf("while the service is away: %q, %v", img.Name, err)
		}
		s.failing("get", failure(image.Forbidden))
		if _, err := c.ByID(t.Context(), ours(9, "").ID); !image.Is(err, image.Forbidden) {
			t.Errorf("a refused record: %v", err)
		}
	})
}
