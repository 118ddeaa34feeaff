package catalog

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// second is the journal of another rename.
type second struct{ *mortal }

func (second) ID() string { return "second" }

// A rename over a draft that was not answered is not taken back where a later one has given
// the image that name, and was answered: whatever is done next, and whatever the first one's
// journal leads to.
func TestUnansweredRenameOverDraftTriedAgain(t *testing.T) {
	img, was := ours(2, "new"), ours(3, "old")
	for title, again := range map[string]func(*testing.T, *Catalog, *service) error{
		"over the draft": func(t *testing.T, c *Catalog, s *service) error {
			_, err := c.Rename(t.Context(), img, "old", nil, second{&mortal{service: s, left: 1 << 20}})
			return err
		},
		"over its image": func(t *testing.T, c *Catalog, s *service) error {
			s.set(was)
			c.Committed("d", was, "")
			_, err := c.Rename(t.Context(), img, "old", &was, nil)
			return err
		},
		"over nothing": func(t *testing.T, c *Catalog, _ *service) error {
			c.RemoveDraft(draft("d"))
			_, err := c.Rename(t.Context(), img, "old", nil, nil)
			return err
		},
	} {
		t.Run(title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mortal{service: newService(img), left: 1 << 20}
				c := newCatalog(t, m.service)
				listed(t, c)
				if err := c.AddDraft("old", draft("d")); err != nil {
					t.Fatal(err)
				}
				m.failing("update", failure(image.Stalled))
				if _, err := c.Rename(t.Context(), img, "old", nil, m); !image.Is(err, image.Stalled) {
					t.Fatal(err)
				}
				clear(m.fail)
				if err := again(t, c, m.service); err != nil {
					t.Fatal(err)
				}
				if left := asks(t, c, m.service, img.ID); len(left) > 0 {
					t.Errorf("it goes on with %v", left)
				}
				time.Sleep(RenameSettles)
				if carried, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m); !carried || err != nil {
					t.Errorf("by its journal: %v, %v", carried, err)
				}
				if have := m.want(); have["old"] != img.ID || len(have) != 1 {
					t.Errorf("the service has %v", have)
				}
			})
		})
	}
}

// Nor is one over an image with a draft, where it was given up first, and which was retired
// only by the second rename, of which nobody knows whether that has happened.
func TestUnansweredRenameOverEditedTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		m := &mortal{service: newService(over, img), left: 1 << 20, drafted: true}
		c := newCatalog(t, m.service)
		listed(t, c)
		m.failing("update", failure(image.Stalled))
		if _, err := c.Rename(t.Context(), img, "old", &over, m); !image.Is(err, image.Stalled) || !m.noted.Undone {
			t.Fatal(err)
		}
		clear(m.fail)
		m.failing("delete", failure(image.Stalled))
		again := second{&mortal{service: m.service, left: 1 << 20}}
		if _, err := c.Rename(t.Context(), img, "old", &over, again); !image.Is(err, image.Stalled) {
			t.Fatal(err)
		}
		clear(m.fail)
		time.Sleep(RenameSettles)
		for _, j := range []struct {
			RenameJournal
			noted *image.Rename
		}{{m, m.noted}, {again, again.noted}} {
			if carried, err := c.FinishRename(t.Context(), *j.noted, RenameSettles, j.RenameJournal); !carried || err != nil {
				t.Errorf("by the journal %s: %v, %v", j.ID(), carried, err)
			}
		}
		if have := m.want(); have["old"] != img.ID || len(have) != 1 {
			t.Errorf("the service has %v", have)
		}
	})
}

// A rename over an image that is being edited, which was not answered, is taken back before a
// commit of that retires the image, also where the renamed one shows at the name.
func TestUnansweredRenameOverEdited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		m := &mortal{service: newService(over, img), drafted: true}
		c := m.catalog(t, 7, new(bytes.Buffer)) // two looks, the journal, and the change without its answer
		listed(t, c)
		if _, err := c.Rename(t.Context(), img, "old", &over, m); err == nil || m.want()["old"] != img.ID {
			t.Fatalf("%v: %v", err, m.want())
		}
		m.left = 1 << 20
		if _, err := c.Lookup(t.Context(), "old"); err != nil { // asks, for nobody knows
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"old": img.ID, "old~00000001": over.ID}, listed(t, c)); diff != "" {
			t.Fatal(diff)
		}
		if err := c.FinishBefore(t.Context(), over.ID); err != nil { // as the commit does
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]string{"old": over.ID, "new": img.ID}, m.want()); diff != "" {
			t.Error(diff)
		}
	})
}

// Nor is one of an earlier run that had not happened when the next one looked, and was too
// young to count as such.
func TestRenameOfEarlierRunTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		img := ours(2, "new")
		m := &mortal{service: newService(img), left: 1 << 20}
		c := newCatalog(t, m.service)
		listed(t, c)
		r := image.Rename{Image: img, Name: "old", Undone: true}
		if _, err := c.FinishRename(t.Context(), r, time.Second, m); !errors.Is(err, ErrTooYoung) {
			t.Fatal(err)
		}
		if _, err := c.Rename(t.Context(), img, "old", nil, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(RenameSettles)
		if carried, err := c.FinishRename(t.Context(), r, RenameSettles, m); !carried || err != nil {
			t.Errorf("%v, %v", carried, err)
		}
		if have := m.want(); have["old"] != img.ID || len(have) != 1 {
			t.Errorf("the service has %v", have)
		}
	})
}
