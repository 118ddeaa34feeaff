package catalog

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// omit makes the records of these images such that nobody can read them where they are
// listed, and all others as they should be.
func (s *service) omit(ids ...string) {
	s.change(func(s *service) {
		s.omitted = map[string]bool{}
		for _, id := range ids {
			s.omitted[id] = true
		}
	})
}

// TestListingLeavesOut: a listing without records that nobody can read says nothing of
// their images. They stay, and so does what it would otherwise have told to be gone,
// until the service is asked for it.
func TestListingLeavesOut(t *testing.T) {
	for name, option := range map[string]func(*Options){"plain": func(*Options) {}, "hidden too": hiddenToo} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				images := cloud(2 * maxUnseen)
				s := newService(images...)
				s.page = 1000
				c := newCatalog(t, s, option)
				want := listed(t, c)
				gone := images[0]
				s.drop(gone.ID)
				maps.DeleteFunc(want, func(_, id string) bool { return id == gone.ID })
				ids := make([]string, len(images))
				for i, img := range images {
					ids[i] = img.ID
				}
				s.omit(ids...)
				for range 3 {
					time.Sleep(DefaultTTL)
					s.took()
					got := settle(t, c)
					if len(s.took()) > 1+maxUnseen {
						t.Error("more were asked for than are allowed")
					}
					maps.DeleteFunc(got, func(_, id string) bool { return id == gone.ID }) // it may not be among those asked for
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatal(diff)
					}
				}
				s.omit()
				for range 2 { // two, where images wander
					time.Sleep(DefaultTTL)
					settle(t, c)
				}
				if diff := cmp.Diff(want, remembered(c)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestUnreadableRecord: where an image's own record cannot be read either, nothing is known
// of it, and of it alone.
func TestUnreadableRecord(t *testing.T) {
	for name, option := range map[string]func(*Options){"plain": func(*Options) {}, "hidden too": hiddenToo} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(ours(1, "unreadable"), ours(2, "b"), ours(3, "gone"))
				c := newCatalog(t, s, option)
				listed(t, c)
				s.omit(ours(1, "").ID)
				s.failing("get "+ours(1, "").ID, failure(image.UnexpectedAnswer))
				s.drop(ours(3, "").ID)
				want := map[string]string{"unreadable": ours(1, "").ID, "b": ours(2, "").ID}
				for range 3 {
					time.Sleep(DefaultTTL)
					if diff := cmp.Diff(want, settle(t, c)); diff != "" || c.Stats().Warning != "" {
						t.Errorf("%q: %s", c.Stats().Warning, diff)
					}
				}
			})
		})
	}
}

// TestNameThatMayBeLeftOut: what a listing that is not whole does not have may be there
// all the same: its name is asked for.
func TestNameThatMayBeLeftOut(t *testing.T) {
	for _, refresh := range []string{"pass", "delta"} {
		t.Run(refresh, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(ours(1, "a"))
				if refresh == "delta" {
					large(s)
				} else {
					s.omit(ours(2, "").ID)
					s.set(ours(2, "b"))
				}
				c := newCatalog(t, s)
				listed(t, c)
				if refresh == "delta" {
					s.omit(ours(2, "").ID)
					time.Sleep(DefaultTTL)
					s.set(changed(2, "b"))
					settle(t, c)
				}
				if _, err := c.Lookup(t.Context(), "b"); !image.Is(err, image.UnexpectedAnswer) {
					t.Errorf("b: %v", err)
				}
				s.omit()
				time.Sleep(DefaultTTL) // for so long the service counts as in trouble
				for entry, want := range map[string]string{"a": ours(1, "").ID, "b": ours(2, "").ID} {
					if got := lookup(t, c, entry); got != want {
						t.Errorf("%s is %q", entry, got)
					}
				}
			})
		})
	}
}

// TestUnreadableRecordIsNoOutage: who asks for the one image whose record cannot be read
// keeps nobody from others, nor from making new ones.
func TestUnreadableRecordIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "odd"))
		s.omit(ours(2, "").ID)
		c := newCatalog(t, s)
		listed(t, c)
		unreadable := &image.Error{Op: "get", Kind: image.UnexpectedAnswer, Err: image.ErrUnreadable}
		s.failing("name odd", unreadable)
		s.failing("get "+ours(2, "").ID, unreadable)
		if _, err := c.Lookup(t.Context(), "odd"); !image.Is(err, image.UnexpectedAnswer) {
			t.Errorf("by name: %v", err)
		}
		if _, err := c.ByID(t.Context(), ours(2, "").ID); !image.Is(err, image.UnexpectedAnswer) {
			t.Errorf("by id: %v", err)
		}
		if _, err := c.Lookup(t.Context(), "new"); !image.Is(err, image.NotFound) {
			t.Errorf("a free name: %v", err)
		}
		if warning := c.Stats().Warning; warning != "" {
			t.Error(warning)
		}
	})
}

// TestManyLeftOut: however many images a listing leaves out each time, one of them that is
// gone is asked for in the end.
func TestManyLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		images := cloud(4 * maxUnseen)
		s := newService(images...)
		s.page = 1000
		c := newCatalog(t, s)
		listed(t, c)
		ids := make([]string, len(images))
		for i, img := range images {
			ids[i] = img.ID
		}
		s.omit(ids...)
		for _, id := range ids[:maxUnseen] {
			s.drop(id)
		}
		for range 100 { // which are asked for is drawn each time
			time.Sleep(DefaultTTL)
			settle(t, c)
		}
		if got := len(remembered(c)); got != len(images)-maxUnseen {
			t.Errorf("%d show, want %d", got, len(images)-maxUnseen)
		}
	})
}
