package catalog

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestListIsSharedAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "c"))
		s.slow(time.Second)
		c := newCatalog(t, s)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := readAll(impatient, c.List); !image.Is(err, image.Stalled) {
				t.Errorf("the impatient one: %v", err)
			}
		})
		for range 5 {
			group.Go(func() {
				if list, err := readAll(t.Context(), c.List); err != nil || len(list) != 3 {
					t.Errorf("List: %v, %v", list, err)
				}
			})
		}
		group.Wait()
		wantRequests(t, s, "list")
		listed(t, c)
		wantRequests(t, s)
	})
}

func TestListServesTheKnownWhileItRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.slow(time.Second)
		c := newCatalog(t, s)
		listed(t, c)
		s.set(ours(2, "b"))
		time.Sleep(DefaultTTL)
		start := time.Now()
		if got := listed(t, c); len(got) != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %v", got, time.Since(start))
		}
		time.Sleep(10 * time.Second)
		if got := listed(t, c); len(got) != 2 {
			t.Errorf("after the refresh: %v", got)
		}
		s.drop(ours(1, "").ID)
		time.Sleep(tooOld * DefaultTTL)
		if got := listed(t, c); len(got) != 1 {
			t.Errorf("a listing too old was shown: %v", got)
		}
		wantRequests(t, s, "list", "list", "list")
	})
}

// TestSlowListing: neither a listing that takes longer than the TTL nor the question
// for changes is made without a pause.
func TestSlowListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.slow(30 * time.Second)
		c := newCatalog(t, s)
		listed(t, c)
		took := c.Stats().Took
		for start := time.Now(); time.Since(start) < 12*took; time.Sleep(time.Second) {
			listed(t, c)
		}
		passes, deltas := 0, 0
		for _, request := range s.took() {
			if request == "list" {
				passes++
			} else {
				deltas++
			}
		}
		if passes < 3 || passes > 5 || deltas < 4 || deltas > 10 {
			t.Errorf("%d listings and %d questions for changes in the time of 13", passes, deltas)
		}
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newService(ours(1, "a"))
		c := newCatalog(t, s, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		s.failing("", failure(image.Unreachable))
		if _, err := readAll(t.Context(), c.List); !image.Is(err, image.Unreachable) {
			t.Errorf("the first listing: %v", err)
		}
		if _, err := c.Lookup(t.Context(), "a"); !image.Is(err, image.Unreachable) {
			t.Errorf("a lookup: %v", err)
		}
		s.failing("", nil)
		listed(t, c)
		if stats := c.Stats(); !stats.Away.IsZero() || stats.Warning != "" {
			t.Errorf("it answered: %+v", stats)
		}
		log.Reset()

		s.failing("", failure(image.Unreachable))
		s.took()
		for range 200 {
			time.Sleep(10 * time.Second)
			if got := listed(t, c); len(got) != 1 || lookup(t, c, "a") == "" {
				t.Fatalf("the last listing is not shown: %v", got)
			}
			synctest.Wait()
		}
		if _, err := c.Lookup(t.Context(), "unknown"); !image.Is(err, image.Unreachable) {
			t.Errorf("nobody knows whether it is there: %v", err)
		}
		if img, err := c.ByID(t.Context(), ours(1, "").ID); err != nil || img.Name != "a" {
			t.Errorf("ByID: %v, %v", img, err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings for one outage:\n%s", n, log.String())
		}
		if stats := c.Stats(); stats.Away.IsZero() || stats.Warning == "" {
			t.Errorf("status does not tell: %+v", stats)
		}
		if n := len(s.took()); n > 210 {
			t.Errorf("%d requests in 200 tries", n)
		}
		s.failing("", nil)
		s.set(ours(2, "b"))
		time.Sleep(retryAfter)
		listed(t, c)
		synctest.Wait()
		if got := listed(t, c); len(got) != 2 {
			t.Errorf("it answers again: %v", got)
		}
		if !c.Stats().Away.IsZero() || strings.Count(log.String(), "answers again") != 1 {
			t.Errorf("the end of the outage:\n%s", log.String())
		}
	})
}

// However short the TTL is, and however late who waited gets on: the last listing is served
// where the service does not answer.
func TestOutageOfAShortTTL(t *testing.T) {
	s := newService(ours(1, "a"))
	c := newCatalog(t, s, func(o *Options) { o.TTL = time.Nanosecond })
	listed(t, c)
	s.failing("", failure(image.Unavailable))
	for range 20 {
		if got := listed(t, c); len(got) != 1 {
			t.Fatalf("the last listing is not shown: %v", got)
		}
	}
}

func TestRefusedListingIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		c := newCatalog(t, s)
		listed(t, c)
		s.failing("", failure(image.Credentials))
		time.Sleep(DefaultTTL)
		listed(t, c) // nobody knows yet
		synctest.Wait()
		if _, err := readAll(t.Context(), c.List); !image.Is(err, image.Credentials) {
			t.Errorf("List: %v", err)
		}
		if _, err := c.Lookup(t.Context(), "a"); !image.Is(err, image.Credentials) {
			t.Errorf("Lookup: %v", err)
		}
		s.failing("", nil)
		listed(t, c)
		s.slow(time.Second)
		time.Sleep(DefaultTTL)
		start := time.Now()
		if listed(t, c); time.Since(start) != 0 {
			t.Errorf("a refusal of long ago made List wait %v", time.Since(start))
		}
	})
}

// TestRefreshDoesNotUndoOwnChanges makes every kind of own change while a
// refresh and a lookup that began before are under way.
func TestRefreshDoesNotUndoOwnChanges(t *testing.T) {
	one, two, three, four, five := ours(1, "one"), ours(2, "two"), ours(3, "three"), ours(4, "four"), ours(5, "five")
	for _, lookups := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(one, two, three, four)
			s.page = 1000
			c := newCatalog(t, s)
			listed(t, c)
			time.Sleep(DefaultTTL)
			s.slow(time.Minute / 10)
			ask := func(entry string) {
				if lookups {
					if _, err := c.Lookup(t.Context(), entry); err != nil && !image.Is(err, image.NotFound) {
						t.Errorf("Lookup(%q): %v", entry, err)
					}
				}
			}
			var group sync.WaitGroup
			if lookups {
				for _, entry := range []string{"one", "uno", "two", "three", "four", "five"} {
					group.Go(func() { ask(entry) })
				}
			} else {
				listed(t, c)
			}
			time.Sleep(5 * time.Second) // the page is read, and on its way
			s.slow(0)
			if _, err := c.Rename(t.Context(), one, "uno", nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.Remove(t.Context(), two.ID); err != nil {
				t.Fatal(err)
			}
			s.drop(three.ID)
			c.Forget(three.ID)
			s.set(five)
			if err := c.AddDraft("five", draft("d")); err != nil {
				t.Fatal(err)
			}
			s.drop(four.ID)
			c.Committed("d", five, four.ID)
			want := map[string]string{"uno": one.ID, "five": five.ID}
			if diff := cmp.Diff(want, remembered(c)); diff != "" {
				t.Errorf("at once: %s", diff)
			}
			group.Wait()
			time.Sleep(time.Minute)
			synctest.Wait()
			got := remembered(c) // List would ask anew
			c.mu.Lock()
			if len(c.own) != 0 || len(c.begun) != 0 {
				t.Errorf("the log of own changes is not emptied: %v %v", c.own, c.begun)
			}
			c.mu.Unlock()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after what began before (lookups: %v): %s", lookups, diff)
			}
		})
	}
}

// remembered is what the catalog knows of the images.
func remembered(c *Catalog) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return entriesOf(c.dir)
}

// TestListingIsNewerThanALookupBegunBefore: the answer to a lookup comes after
// a listing that was asked for later.
func TestListingIsNewerThanALookupBegunBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.page = 1000
		s.slow(2 * time.Second)
		c := newCatalog(t, s)
		var group sync.WaitGroup
		group.Go(func() { lookup(t, c, "a") })
		time.Sleep(1500 * time.Millisecond) // the answer is on its way
		s.slow(0)
		s.drop(ours(1, "").ID)
		s.set(ours(2, "a"))
		want := map[string]string{"a": ours(2, "").ID}
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		group.Wait()
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Errorf("after the lookup's answer: %s", diff)
		}
	})
}

// TestRefreshKeepsWhatALookupFound: the page that would hold a new image was
// read before the image came, the lookup found it after.
func TestRefreshKeepsWhatALookupFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(2, "b"))
		s.page = 1000
		s.slow(2 * time.Second)
		c := newCatalog(t, s)
		var group sync.WaitGroup
		group.Go(func() { listed(t, c) })
		time.Sleep(2500 * time.Millisecond) // the page is read
		s.set(ours(1, "a"))
		s.slow(0)
		if lookup(t, c, "a") == "" {
			t.Fatal("not found")
		}
		group.Wait()
		if got := listed(t, c); got["a"] == "" {
			t.Errorf("it went again: %v", got)
		}
	})
}

func TestOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		s := newService(ours(1, "deleted"), ours(2, "replaced"), ours(3, "renamed"), ours(4, "edited"), ours(5, "same"),
			ours(6, "twin"), ours(7, "twin"), ours(8, "mine"))
		var c *Catalog
		c = newCatalog(t, s, func(o *Options) {
			o.OnChange = func(entry string) {
				c.Stats() // no lock is held
				mu.Lock()
				defer mu.Unlock()
				told = append(told, entry)
			}
		})
		take := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			got := told
			told = nil
			slices.Sort(got)
			return got
		}
		listed(t, c)
		if got := take(); len(got) != 0 {
			t.Errorf("the first listing told %q", got)
		}
		s.drop(ours(1, "").ID)
		s.drop(ours(2, "").ID)
		s.set(ours(20, "replaced"))
		s.set(ours(3, "new name"))
		edited := ours(4, "edited")
		edited.Protected = true
		s.set(edited)
		s.drop(ours(6, "").ID)
		time.Sleep(DefaultTTL)
		listed(t, c)
		want := []string{"deleted", "edited", "renamed", "replaced", "replaced~00000014", "twin", "twin~00000007"}
		if diff := cmp.Diff(want, take()); diff != "" {
			t.Errorf("foreign changes: %s", diff)
		}

		c.Put(ours(30, "twin")) // an own change at another entry: the kernel asked for it
		if _, err := c.Rename(t.Context(), ours(8, "mine"), "mine too", nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := take(); len(got) != 0 {
			t.Errorf("own changes told %q", got)
		}
		c.Forget(ours(7, "").ID) // twin is asked for; twin~0000001e moves to twin because of it
		if diff := cmp.Diff([]string{"twin~0000001e"}, take()); diff != "" {
			t.Errorf("what moved because of an own change: %s", diff)
		}

		s.set(ours(5, "elsewhere"))
		time.Sleep(DefaultTTL)
		if lookup(t, c, "elsewhere") == "" {
			t.Error("not found")
		}
		if diff := cmp.Diff([]string{"same"}, take()); diff != "" {
			t.Errorf("what a lookup found out: %s", diff)
		}
	})
}
