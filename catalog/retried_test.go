package catalog

import (
	"testing"
	"testing/synctest"
	"time"

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
				if carried, err := c.FinishRename(t.Context(), *m.noted, m); !carried || err != nil {
					t.Errorf("by its journal: %v, %v", carried, err)
				}
				if have := m.want(); have["old"] != img.ID || len(have) != 1 {
					t.Errorf("the service has %v", have)
				}
			})
		})
	}
}
