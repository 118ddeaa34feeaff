package catalog

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// hiddenToo shows hidden images, too.
func hiddenToo(o *Options) { o.Filter = image.Filter{Hidden: true} }

// TestImageThatWanders: an image goes from the listing that is still to come to the one
// that was read while the pass goes on. It does not lose its entry.
func TestImageThatWanders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 8)
		s := newService(ours(1, "stays"), ours(2, "wanders"), ours(3, "goes"))
		c := newCatalog(t, s, hiddenToo, func(o *Options) { o.OnChange = func(entry string) { told <- entry } })
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.took()
		hidden := ours(2, "wanders")
		hidden.Hidden = true
		s.set(hidden) // the fake does not list it: it has gone past
		s.drop(ours(3, "").ID)
		want := map[string]string{"stays": ours(1, "").ID, "wanders": ours(2, "").ID}
		if diff := cmp.Diff(want, settle(t, c)); diff != "" {
			t.Error(diff)
		}
		requests := s.took()
		slices.Sort(requests)
		if diff := cmp.Diff([]string{"get " + ours(2, "").ID, "get " + ours(3, "").ID, "list"}, requests); diff != "" {
			t.Error(diff)
		}
		if entry := <-told; entry != "goes" && entry != "wanders" { // it is hidden by now
			t.Errorf("told %q", entry)
		}
	})
}

// TestManyUnseen: when more images are gone than are asked for, the others go when two
// passes have not seen them.
func TestManyUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.page = 1000
		for i := range 3 * maxUnseen {
			s.set(ours(i, ""))
		}
		c := newCatalog(t, s, hiddenToo)
		listed(t, c)
		for i := range 3 * maxUnseen {
			s.drop(ours(i, "").ID)
		}
		for _, want := range []int{2 * maxUnseen, 0} {
			time.Sleep(DefaultTTL)
			s.took()
			if got := settle(t, c); len(got) != want {
				t.Errorf("%d show, want %d", len(got), want)
			}
			if got := s.took(); len(got) != 1+maxUnseen {
				t.Errorf("%d requests", len(got))
			}
		}
	})
}

// TestUnseenAndAway: what nobody can be asked about stays.
func TestUnseenAndAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"))
		c := newCatalog(t, s, hiddenToo)
		want := listed(t, c)
		s.drop(ours(1, "").ID)
		s.failing("get", failure(image.Unreachable))
		time.Sleep(DefaultTTL)
		if diff := cmp.Diff(want, settle(t, c)); diff != "" || c.Stats().Warning == "" {
			t.Errorf("%q: %s", c.Stats().Warning, diff)
		}
		s.failing("get", failure(image.Forbidden)) // an answer: it is not to be seen
		time.Sleep(DefaultTTL)
		if got := settle(t, c); len(got) != 1 || got["b"] == "" {
			t.Errorf("got %v", got)
		}
	})
}

// TestUnseenShare: whether an image that others share is still accepted its record does
// not say: two passes do.
func TestUnseenShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := ours(1, "share")
		share.Owner, share.Visibility = "theirs", image.VisibilityShared
		s := newService(share, ours(2, "b"))
		s.accepted[share.ID] = true
		c := newCatalog(t, s, hiddenToo)
		listed(t, c)
		s.change(func(s *service) { s.accepted[share.ID] = false })
		for _, want := range []bool{true, false} {
			time.Sleep(DefaultTTL)
			if _, shows := settle(t, c)["share"]; shows != want {
				t.Errorf("shows: %v, want %v", shows, want)
			}
		}
	})
}

// TestUnseenWithoutAFilter: what cannot go past a pass is not asked for.
func TestUnseenWithoutAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"))
		c := newCatalog(t, s)
		listed(t, c)
		s.drop(ours(1, "").ID)
		time.Sleep(DefaultTTL)
		s.took()
		settle(t, c)
		if got := s.took(); !slices.Equal(got, []string{"list"}) {
			t.Errorf("requests %q", got)
		}
	})
}

// TestUnseenAndNotTold: only an answer about the image itself takes it away.
func TestUnseenAndNotTold(t *testing.T) {
	for _, kind := range []image.Kind{image.Credentials, image.NoDescriptors, image.Busy} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(ours(1, "a"), ours(2, "b"))
				c := newCatalog(t, s, hiddenToo)
				want := listed(t, c)
				hidden := ours(1, "a")
				hidden.Hidden = true
				s.set(hidden) // it has gone past
				s.failing("get", failure(kind))
				time.Sleep(DefaultTTL)
				_, err := c.List(t.Context())
				synctest.Wait()
				if diff := cmp.Diff(want, remembered(c)); diff != "" {
					t.Errorf("%v: %s", err, diff)
				}
			})
		})
	}
}
