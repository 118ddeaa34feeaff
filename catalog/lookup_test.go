package catalog

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

func wantRequests(t *testing.T, s *service, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.took()); diff != "" {
		t.Errorf("requests: %s", diff)
	}
}

func TestLookupCostsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "disk.qcow2"), ours(2, "other"), ours(3, "DISK.qcow2"))
		c := newCatalog(t, s)
		if got := lookup(t, c, "disk.qcow2"); got != ours(1, "").ID {
			t.Errorf("got %q", got)
		}
		wantRequests(t, s, "name disk.qcow2")
		time.Sleep(DefaultTTL - time.Nanosecond)
		lookup(t, c, "disk.qcow2")
		wantRequests(t, s)
		s.drop(ours(1, "").ID)
		time.Sleep(time.Nanosecond)
		if got := lookup(t, c, "disk.qcow2"); got != "" {
			t.Errorf("got %q after it was deleted elsewhere", got)
		}
		wantRequests(t, s, "name disk.qcow2")
	})
}

func TestLookupOfAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		c := newCatalog(t, s)
		lookup(t, c, "new")
		time.Sleep(negativeTTL - time.Nanosecond)
		lookup(t, c, "new")
		wantRequests(t, s, "name new")
		s.set(ours(1, "new"))
		time.Sleep(time.Nanosecond)
		if got := lookup(t, c, "new"); got != ours(1, "").ID {
			t.Errorf("an image made elsewhere does not show: %q", got)
		}
		wantRequests(t, s, "name new")
	})
}

func TestLookupWithoutRequest(t *testing.T) {
	s := newService()
	c := newCatalog(t, s)
	for _, entry := range []string{"", ".", "..", ByIDEntry, "😀", "a\x00b", "bad\xff", "%41", strings.Repeat("x", 256), strings.Repeat("中", 100)} {
		if _, err := c.Lookup(t.Context(), entry); !image.Is(err, image.NotFound) {
			t.Errorf("Lookup(%q): %v", entry, err)
		}
	}
	wantRequests(t, s)
}

func TestLookupFromFreshListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "a"), ours(3, ""), ours(4, strings.Repeat("中", 200)))
		c := newCatalog(t, s)
		all := listed(t, c)
		s.took()
		for entry, id := range all {
			if got := lookup(t, c, entry); got != id {
				t.Errorf("Lookup(%q) = %q, listing says %q", entry, got, id)
			}
		}
		lookup(t, c, "absent")
		wantRequests(t, s)
	})
}

// An image that the service calls gone makes room for the one that others have put
// in its place, before the listing is old.
func TestLookupAfterGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, successor := ours(1, "disk"), ours(2, "disk")
		s := newService(old)
		changed := make(chan string, 8)
		c := newCatalog(t, s, func(o *Options) { o.OnChange = func(entry string) { changed <- entry } })
		listed(t, c)
		s.drop(old.ID)
		s.set(successor)
		if got := lookup(t, c, "disk"); got != old.ID {
			t.Fatalf("the fresh listing was not believed: %s", got)
		}
		s.took()
		c.Gone(old.ID)
		if got := lookup(t, c, "disk"); got != successor.ID {
			t.Errorf("the entry is %q, want the successor", got)
		}
		if got := s.took(); len(got) != 1 {
			t.Errorf("it took %q, want one request", got)
		}
		synctest.Wait()
		if len(changed) == 0 || <-changed != "disk" {
			t.Error("nobody was told")
		}
	})
}

// What the service calls gone that is being changed may have been replaced: the entry is asked
// for anew, and not called empty until the next refresh.
func TestLookupAfterChangeOfWhatIsGone(t *testing.T) {
	for title, change := range map[string]func(t *testing.T, c *Catalog, img image.Image) error{
		"remove": func(t *testing.T, c *Catalog, img image.Image) error { return c.Remove(t.Context(), img.ID) },
		"update": func(t *testing.T, c *Catalog, img image.Image) error {
			_, err := c.Update(t.Context(), img.ID, []image.Change{{Field: "min_ram", Value: 1}})
			return err
		},
		"rename": func(t *testing.T, c *Catalog, img image.Image) error {
			_, err := c.Rename(t.Context(), img, "away", nil, nil)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(ours(1, "disk"))
			c := newCatalog(t, s)
			listed(t, c)
			s.drop(ours(1, "").ID)
			s.set(ours(2, "disk"))
			if err := change(t, c, ours(1, "disk")); !image.Is(err, image.NotFound) {
				t.Fatalf("%s: %v", title, err)
			}
			if got := lookup(t, c, "disk"); got != ours(2, "").ID {
				t.Errorf("%s: the entry is %q, want the successor", title, got)
			}
		})
	}
}

// A name that may have got an image of which nobody knows is asked for at once, and so listed.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		c := newCatalog(t, s)
		listed(t, c)
		s.set(ours(2, "left/behind"))
		s.took()
		c.Doubt(ours(2, "").ID, "left/behind")
		synctest.Wait()
		if got := listed(t, c)["left%2Fbehind"]; got != ours(2, "").ID {
			t.Errorf("the listing has %q", got)
		}
		if got := lookup(t, c, "left%2Fbehind"); got != ours(2, "").ID {
			t.Errorf("the entry is %q", got)
		}
		wantRequests(t, s, "name left/behind")

		s.set(ours(4, ""))
		c.Doubt(ours(4, "").ID, "")
		synctest.Wait()
		if got := listed(t, c)[ours(4, "").ID]; got == "" {
			t.Error("the listing lacks the nameless one")
		}

		hidden := ours(1, "a")
		hidden.Hidden = true
		s.set(hidden)
		c.Doubt(hidden.ID, "a")
		synctest.Wait()
		if got, ok := listed(t, c)["a"]; ok {
			t.Errorf("the listing has the hidden one, %q", got)
		}

		s.slow(2 * time.Second) // who asked before the doubt may be told what was before
		c.Doubt(ours(3, "").ID, "late")
		time.Sleep(1500 * time.Millisecond)
		s.set(ours(3, "late"))
		c.Doubt(ours(3, "").ID, "late")
		if got := lookup(t, c, "late"); got != ours(3, "").ID {
			t.Errorf("the entry is %q", got)
		}
		time.Sleep(10 * time.Second) // the requests have ended
	})
}

func TestLookupRequestsByShape(t *testing.T) {
	long := strings.Repeat("x", 300)[:255] // a name of full length is no cut one
	cutName := EntryName(strings.Repeat("中", 200), ours(6, "").ID)
	for entry, want := range map[string][]string{
		"d.x":                          {"name d.x"},
		"d~00000002.x":                 {"name d~00000002.x", "name d.x"},
		"lone~00000009":                {"name lone~00000009"},
		"gone~00000009":                {"name gone~00000009", "name gone"},
		ours(5, "").ID:                 {"name " + ours(5, "").ID, "get " + ours(5, "").ID},
		"d~" + ours(2, "").ID + ".x":   {"name d~" + ours(2, "").ID + ".x", "name d.x", "name d~00000002.x"},
		cutName:                        {"list"},
		long:                           {"name " + long},
		"d~" + ours(2, "").ID + "~2":   {"list"},
		"~00000001":                    {"name ~00000001"},
		"x~00000001~" + ours(1, "").ID: nil, // filled in below: a suffix after a suffix
	} {
		if want == nil {
			base := "x~00000001"
			want = []string{"name " + entry, "name " + base, "name " + base + "~00000001"}
		}
		s := newService(ours(1, "d.x"), ours(2, "d.x"), ours(3, "lone~00000009"), ours(5, ""), ours(6, strings.Repeat("中", 200)))
		s.page = 1000
		c := newCatalog(t, s)
		got := lookup(t, c, entry)
		if diff := cmp.Diff(want, s.took()); diff != "" {
			t.Errorf("%q: %s", entry, diff)
		}
		if got != s.want()[entry] {
			t.Errorf("Lookup(%q) = %q, want %q", entry, got, s.want()[entry])
		}
	}
}

// TestLookupAgreesWithListing compares lookups of a cold catalog, and of one that
// learns lookup by lookup, with the listing, over adversarial names.
func TestLookupAgreesWithListing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newService()
		for range rapid.IntRange(1, 8).Draw(rt, "images") {
			id := drawID(rt)
			img := drawImage(rt, id)
			if rapid.IntRange(0, 3).Draw(rt, "in the way") == 0 { // a name that is another image's suffixed entry
				other := drawID(rt)
				forms := []string{shortForm(EntryName(drawName(rt, "base"), other), other), "d~1a2b3c4d.x", other, "d.x", "d.x", ""}
				img.Name = rapid.SampledFrom(forms).Draw(rt, "form")
				if len([]rune(img.Name)) > maxName {
					img.Name = "d.x"
				}
			}
			s.accepted[id] = rapid.Bool().Draw(rt, "accepted")
			s.set(img)
		}
		want := s.want()
		entries := map[string]bool{}
		for entry, id := range want {
			entries[entry] = true
			entries[shortForm(entry, id)] = true
			entries[wholeForm(entry, id)] = true
		}
		for _, img := range s.images {
			entries[EntryName(img.Name, img.ID)] = true
			entries[img.ID] = true
		}
		warm := New(Options{Lister: s, Records: s, Project: project})
		defer warm.Close()
		for entry := range entries {
			cold := New(Options{Lister: s, Records: s, Project: project})
			for title, c := range map[string]*Catalog{"cold": cold, "warm": warm} {
				e, err := c.Lookup(t.Context(), entry)
				if err != nil && !image.Is(err, image.NotFound) || e.Image.ID() != want[entry] {
					rt.Errorf("%s: Lookup(%q) = %q, %v; the listing says %q", title, entry, e.Image.ID(), err, want[entry])
				}
			}
			cold.Close()
		}
		list, err := readAll(t.Context(), warm.List)
		if err != nil {
			rt.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range list {
			got[e.Name] = e.Image.ID()
		}
		if !maps.Equal(got, want) {
			rt.Errorf("the listing: %s", cmp.Diff(want, got))
		}
	})
}

func TestLookupsShareARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.slow(100 * time.Millisecond)
		c := newCatalog(t, s)
		first, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := c.Lookup(first, "a"); !image.Is(err, image.Interrupted) {
				t.Errorf("the cancelled lookup: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			group.Go(func() {
				if e, err := c.Lookup(t.Context(), "a"); err != nil || e.Image.ID() == "" {
					t.Errorf("another's cancellation failed a lookup: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		group.Wait()
		wantRequests(t, s, "name a")
	})
}

func TestLookupIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.slow(time.Hour)
		c := newCatalog(t, s)
		start := time.Now()
		if _, err := c.Lookup(t.Context(), "a"); !image.Is(err, image.Stalled) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > lookupBound {
			t.Errorf("took %v", took)
		}
	})
}

func TestKnownGroupsAreBounded(t *testing.T) {
	s := newService()
	for i := range maxKnown + 50 {
		s.images[ours(i, "").ID] = ours(i, "")
	}
	c := newCatalog(t, s)
	for i := range maxKnown + 50 {
		c.mu.Lock()
		s := c.begin()
		base := ours(i, "").ID
		c.mergeGroup(base, []image.Image{ours(i, "")}, s)
		c.end(s)
		c.mu.Unlock()
	}
	if got := c.Stats().Images; got != maxKnown {
		t.Errorf("%d images are remembered without a listing, want %d", got, maxKnown)
	}
}

// Fresh asks whatever is known, and what it learns is known then.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := ours(1, "disk")
		s := newService(disk)
		c := newCatalog(t, s)
		lookup(t, c, "disk")
		s.took()
		renamed := ours(1, "kept")
		renamed.UpdatedAt = disk.UpdatedAt.Add(time.Second)
		s.set(renamed)
		img, err := c.Fresh(t.Context(), disk.ID)
		if err != nil || img.Name != "kept" {
			t.Errorf("%v %+v", err, img)
		}
		wantRequests(t, s, "get "+disk.ID)
		if got := lookup(t, c, "disk"); got != "" {
			t.Errorf("the old name still shows %s", got)
		}
		renamed.Properties = map[string]string{image.PropertyTrash: image.Trash{At: time.Now(), Until: time.Now().Add(time.Hour)}.Encode(disk.ID)}
		renamed.Hidden = true
		s.set(renamed)
		if _, err := c.Fresh(t.Context(), disk.ID); !image.Is(err, image.NotFound) {
			t.Errorf("in the trash: %v", err)
		}
		s.drop(disk.ID)
		if _, err := c.Fresh(t.Context(), disk.ID); !image.Is(err, image.NotFound) {
			t.Errorf("gone: %v", err)
		}
		s.failing("", &image.Error{Op: "get", Kind: image.Unreachable})
		if _, err := c.Fresh(t.Context(), disk.ID); !image.Is(err, image.Unreachable) {
			t.Errorf("service away: %v", err)
		}
	})
}
