package catalog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// firstPass begins the first pass over a service whose pages hold two images and come
// each second, and waits until it has brought so many of them.
func firstPass(t *testing.T, s *service, have int, change ...func(*Options)) *Catalog {
	t.Helper()
	s.slow(time.Second)
	c := newCatalog(t, s, change...)
	l, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.At(t.Context(), have-1); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.slow(0) // of lookups; the pages have a latency of their own
	s.change(func(s *service) { s.passes = time.Second })
	s.took()
	return c
}

// TestWalkDuringFirstPass: who walks over the directory while it is listed for the first
// time does not ask for each name that the listing has brought.
func TestWalkDuringFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		for i := range 100 {
			s.set(ours(i, ""))
		}
		c := firstPass(t, s, 40)
		for i := range 40 {
			if got := lookup(t, c, ours(i, "").ID); got != ours(i, "").ID {
				t.Errorf("%d is %q", i, got)
			}
		}
		if got := s.took(); len(got) > 2*walkLen {
			t.Errorf("%d requests: %q", len(got), got)
		}
		if got := lookup(t, c, ours(99, "").ID); got != ours(99, "").ID {
			t.Errorf("what is still to come is %q", got)
		}
		if got := s.took(); len(got) != 2 { // the name, and the id
			t.Errorf("what is still to come costs %q", got)
		}
	})
}

// TestFirstPassIsNotBelieved: where what the first pass has brought may not be what the
// whole listing shows, a lookup asks.
func TestFirstPassIsNotBelieved(t *testing.T) {
	walking := func(c *Catalog) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.walk = walkLen
	}
	public := func(number int, name string) image.Image {
		img := ours(number, name)
		img.Owner, img.Visibility = "theirs", image.VisibilityPublic
		return img
	}
	for what, tc := range map[string]struct {
		before func(*service, *Catalog)
		want   string
	}{
		"one file alone": {func(*service, *Catalog) {}, "name a"},
		"an old pass": {func(_ *service, c *Catalog) {
			walking(c)
			time.Sleep(DefaultTTL)
		}, "name a"},
		"a doubt": {func(_ *service, c *Catalog) {
			walking(c)
			c.Gone(ours(1, "").ID)
		}, "name a"},
		"a page that does not come": {func(s *service, c *Catalog) {
			walking(c)
			s.change(func(s *service) { s.broken = failure(image.Unavailable) })
			time.Sleep(2 * time.Second)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.pass != nil {
				t.Error("the pass goes on")
			}
		}, "name a"},
		"what it has brought": {func(_ *service, c *Catalog) { walking(c) }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(ours(1, "a"), public(2, "b"))
				for i := range 100 {
					s.set(ours(10+i, "b")) // ours come later, and have the plain entry
				}
				c := firstPass(t, s, 2)
				tc.before(s, c)
				lookup(t, c, "a")
				got := s.took()
				if tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) != 1 || got[0] != tc.want) {
					t.Errorf("asked %q, want %q", got, tc.want)
				}
				if tc.want == "" {
					if got := lookup(t, c, "b"); got != ours(10, "").ID {
						t.Errorf("others' image has the entry of ours: %q", got)
					}
				}
			})
		})
	}
}
