package catalog

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// large makes the whole listing of the service take so long that it is not read each
// TTL: 40 s for each page.
func large(s *service) { s.change(func(s *service) { s.passes, s.page = 40*time.Second, 1000 }) }

// changed is an image of ours that was changed now.
func changed(number int, name string) image.Image {
	img := ours(number, name)
	img.UpdatedAt = time.Now().Truncate(time.Second)
	return img
}

// settle lists, and lets what that has begun come to its end.
func settle(t *testing.T, c *Catalog) map[string]string {
	t.Helper()
	listed(t, c)
	synctest.Wait()
	return remembered(c)
}

// TestDelta: where the whole listing takes long, what others make, rename, edit or hide
// shows after the TTL all the same, without it; what they delete does when it is read.
func TestDelta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "stays"), ours(2, "renamed"), ours(3, "hidden"), ours(4, "deleted"), ours(5, "edited"))
		large(s)
		var c *Catalog
		told := make(chan string, 64)
		c = newCatalog(t, s, func(o *Options) { o.OnChange = func(entry string) { told <- entry } })
		listed(t, c)
		wantRequests(t, s, "list", "since") // it was old at once without the second
		time.Sleep(DefaultTTL)

		s.set(changed(2, "name"))
		hidden := changed(3, "hidden")
		hidden.Hidden = true
		s.set(hidden)
		s.drop(ours(4, "").ID)
		edited := changed(5, "edited")
		edited.Protected = true
		s.set(edited)
		s.set(changed(6, "created"))
		before := time.Now()
		got := settle(t, c)
		want := map[string]string{"stays": ours(1, "").ID, "name": ours(2, "").ID, "deleted": ours(4, "").ID, "edited": ours(5, "").ID, "created": ours(6, "").ID}
		if diff := cmp.Diff(want, got); diff != "" || time.Since(before) != 0 {
			t.Errorf("after a delta: %s after %v", diff, time.Since(before))
		}
		wantRequests(t, s, "since")
		var entries []string
		for len(told) > 0 {
			entries = append(entries, <-told)
		}
		slices.Sort(entries)
		if diff := cmp.Diff([]string{"edited", "hidden", "renamed"}, entries); diff != "" {
			t.Errorf("told: %s", diff)
		}
		// The listing is young: names are answered from memory.
		for entry, id := range want {
			if got := lookup(t, c, entry); got != id {
				t.Errorf("lookup of %q: %q", entry, got)
			}
		}
		if lookup(t, c, "absent") != "" {
			t.Error("absent")
		}
		wantRequests(t, s)
		// What is found to be gone goes at once.
		c.Gone(ours(4, "").ID)
		if got := lookup(t, c, "deleted"); got != "" {
			t.Errorf("gone: %q", got)
		}
		wantRequests(t, s, "name deleted")

		s.drop(ours(1, "").ID)
		took := c.Stats().Took
		for start := time.Now(); time.Since(start) <= (passRest+1)*took; time.Sleep(DefaultTTL) {
			settle(t, c)
		}
		if diff := cmp.Diff(s.want(), settle(t, c)); diff != "" {
			t.Errorf("after a pass: %s", diff)
		}
		if stats := c.Stats(); stats.Refreshes != 2 || stats.Deltas < 3 || !stats.Complete || stats.Passed.IsZero() {
			t.Errorf("%+v", stats)
		}
	})
}

// TestDeltaAfterAPause: who comes back to a large cloud waits for what was changed, not
// for the whole listing.
func TestDeltaAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(tooOld * DefaultTTL)
		s.slow(2 * time.Second)
		s.set(changed(2, "b"))
		before := time.Now()
		if got := listed(t, c); len(got) != 2 || time.Since(before) > 5*time.Second {
			t.Errorf("%v after %v", got, time.Since(before))
		}
		s.took()
		lookup(t, c, "b")
		wantRequests(t, s)
		time.Sleep(time.Minute)
		if stats := c.Stats(); stats.Refreshes != 2 {
			t.Errorf("the whole listing was not read beside: %+v", stats)
		}
	})
}

// TestDeltaFindsReplacements: another host has replaced an image, as a commit does: a
// new one of its name, and the old one deleted, which a delta does not show.
func TestDeltaFindsReplacements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "disk"), ours(2, "other"))
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.took()
		s.drop(ours(1, "").ID)
		s.set(changed(3, "disk"))
		if diff := cmp.Diff(map[string]string{"disk": ours(3, "").ID, "other": ours(2, "").ID}, settle(t, c)); diff != "" {
			t.Error(diff)
		}
		wantRequests(t, s, "since", "name disk", "get "+ours(1, "").ID)
	})
}

// TestDeltaBesideAPass: the whole listing was read before an image changed, and comes
// after the answer that has the change.
func TestDeltaBesideAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "renamed"), ours(2, "hidden"), ours(3, "stays"))
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(passRest * c.Stats().Took)
		listed(t, c)
		if stats := c.Stats(); stats.Refreshes != 2 {
			t.Fatalf("no pass: %+v", stats)
		}
		time.Sleep(39 * time.Second)
		s.slow(20 * time.Second)
		time.Sleep(2 * time.Second) // the page was read, and comes in nine seconds
		s.slow(0)
		s.set(changed(1, "name"))
		hidden := changed(2, "hidden")
		hidden.Hidden = true
		s.set(hidden)
		s.set(changed(4, "created"))
		listed(t, c)
		time.Sleep(time.Second)
		want := map[string]string{"name": ours(1, "").ID, "stays": ours(3, "").ID, "created": ours(4, "").ID}
		if diff := cmp.Diff(want, remembered(c)); diff != "" {
			t.Errorf("after the delta: %s", diff)
		}
		passed := c.Stats().Passed
		for range 2 { // after the page, and after the pass
			time.Sleep(10 * time.Second)
			if diff := cmp.Diff(want, remembered(c)); diff != "" {
				t.Errorf("after what was read before: %s", diff)
			}
			time.Sleep(time.Minute)
		}
		if c.Stats().Passed.Equal(passed) {
			t.Fatal("the pass has not come to its end")
		}
	})
}

// TestDeltaAndClocks: neither a record from the future nor nodes whose clocks differ
// hide what comes later.
func TestDeltaAndClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		future := ours(1, "future")
		future.UpdatedAt = time.Now().Add(1000 * time.Hour)
		s := newService(future)
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.set(changed(2, "now"))
		if got := settle(t, c); got["now"] == "" {
			t.Errorf("what was made after a record of the future does not show: %v", got)
		}
		time.Sleep(DefaultTTL)
		late := changed(3, "late")
		late.UpdatedAt = late.UpdatedAt.Add(-deltaMargin + time.Second)
		s.set(late)
		if got := settle(t, c); got["late"] == "" {
			t.Errorf("what a node made whose clock is slow does not show: %v", got)
		}
	})
	// A host whose clock is years ahead, at a service that does not tell the time.
	synctest.Test(t, func(t *testing.T) {
		s := newService(changed(1, "a"))
		large(s)
		c := newCatalog(t, s, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(1e6 * time.Hour) } })
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.set(changed(2, "b"))
		if got := settle(t, c); got["b"] == "" {
			t.Errorf("got %v", got)
		}
	})
}

// TestRefusedDelta: a service that does not take the question is asked for the whole, at
// its pace, and shows what is known meanwhile. It is asked again later.
func TestRefusedDelta(t *testing.T) {
	for _, kind := range []image.Kind{image.Rejected, image.Forbidden} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(ours(1, "a"))
			large(s)
			c := newCatalog(t, s)
			listed(t, c)
			s.failing("since", failure(kind))
			s.set(changed(2, "b"))
			s.took()
			for start := time.Now(); time.Since(start) < 2*deltaAgain; time.Sleep(DefaultTTL) {
				settle(t, c)
			}
			if got := remembered(c); len(got) != 2 {
				t.Errorf("%v: got %v", kind, got)
			}
			passes, deltas := 0, 0
			for _, request := range s.took() {
				switch request {
				case "list":
					passes++
				case "since":
					deltas++
				}
			}
			if passes < 4 || passes > 7 || deltas < 2 || deltas > 3 { // each pass takes 80 s, and comes three times as long after the one before
				t.Errorf("%v: %d passes, %d requests for changes", kind, passes, deltas)
			}
			s.failing("since", nil)
			time.Sleep(deltaAgain)
			settle(t, c)
			time.Sleep(5 * time.Minute)
			s.set(changed(3, "c"))
			s.took()
			if got := settle(t, c); got["c"] == "" || !slices.Contains(s.took(), "since") {
				t.Errorf("%v: the service tells again, and nobody asks: %v", kind, got)
			}
		})
	}
}

// TestWaitingForARefusedDelta: who waits for a listing that is not too old gets one, and a
// lookup that only the listing answers does not wait for a long one in vain.
func TestWaitingForARefusedDelta(t *testing.T) {
	cut := strings.Repeat("中", 200)
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, cut))
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		s.failing("since", failure(image.Forbidden))
		time.Sleep(tooOld * DefaultTTL)
		s.set(changed(3, "b"))
		if got := listed(t, c); len(got) != 3 {
			t.Errorf("who waited got %v", got)
		}
		time.Sleep(DefaultTTL)
		s.took()
		before := time.Now()
		if got := lookup(t, c, EntryName(cut, ours(2, "").ID)); got != ours(2, "").ID || time.Since(before) != 0 {
			t.Errorf("%q after %v", got, time.Since(before))
		}
		if got := lookup(t, c, EntryName(cut, ours(9, "").ID)); got != "" || time.Since(before) != 0 {
			t.Errorf("%q after %v", got, time.Since(before))
		}
		wantRequests(t, s)
	})
	// Where the whole listing is read at once, it is what answers.
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.failing("since", failure(image.Forbidden))
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.set(changed(2, cut))
		if got := lookup(t, c, EntryName(cut, ours(2, "").ID)); got == "" {
			t.Error("what was made elsewhere is missing")
		}
	})
}

// TestDoubtSurvivesADelta: whether a removal has happened that was not answered, a delta
// does not say.
func TestDoubtSurvivesADelta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := ours(1, "disk")
		s := newService(disk)
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		s.failing("delete", failure(image.Unreachable))
		if err := c.Remove(t.Context(), disk.ID); !image.Is(err, image.Unreachable) {
			t.Fatal(err)
		}
		s.drop(disk.ID)
		time.Sleep(DefaultTTL)
		settle(t, c)
		s.took()
		if got := lookup(t, c, "disk"); got != "" {
			t.Errorf("it was deleted, and is there: %q", got)
		}
		synctest.Wait()
		wantRequests(t, s, "name disk", "get "+disk.ID)
	})
}

// TestWalk: who looks up one name after the other has the listing refreshed.
func TestWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		for i := range 100 {
			s.set(ours(i, ""))
		}
		large(s)
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.took()
		for i := range 100 {
			if lookup(t, c, ours(i, "").ID) == "" {
				t.Errorf("%d is missing", i)
			}
			synctest.Wait()
		}
		if got := s.took(); len(got) > 2*walkLen+1 || !slices.Contains(got, "since") {
			t.Errorf("%d requests: %q", len(got), got)
		}
	})
}
