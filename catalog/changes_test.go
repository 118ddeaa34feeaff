package catalog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// An image keeps its place among those of its name, whatever is set on it by who does
// not know of that place yet.
func TestUpdateKeepsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The third would win the entry from the second by its age.
		over, img := ours(1, "old"), ours(3, "new")
		s := newService(over, ours(2, "old"), img)
		c := newCatalog(t, s)
		listed(t, c)
		if _, err := c.Rename(t.Context(), img, "old", &over, nil); err != nil {
			t.Fatal(err)
		}
		mode := uint32(0o600)
		text := image.Attributes{Mode: &mode}.Encode(img.ID)
		set := []image.Change{{Field: image.PropertyAttributes, Property: true, Value: text}}
		for _, change := range []func() (image.Image, error){
			func() (image.Image, error) { return c.Update(t.Context(), img.ID, set) },
			func() (image.Image, error) { return c.Rename(t.Context(), img, "old", nil, nil, set...) },
		} {
			now, err := change()
			if a := now.Attributes(); err != nil || a.Mode == nil || *a.Mode != mode || !now.SortTime().Equal(over.SuccessorTime()) {
				t.Errorf("%v: %+v", err, a)
			}
			if diff := cmp.Diff(map[string]string{"old": img.ID, "old~00000002": ours(2, "").ID}, s.want()); diff != "" {
				t.Error(diff)
			}
		}
		if set[0].Value != text {
			t.Errorf("the caller's change has become %v", set[0].Value)
		}
	})
}

// So it does where it has got that while the change has waited for its turn.
func TestUpdateKeepsPlaceOfItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(3, "old")
		s := newService(over, img)
		c := newCatalog(t, s)
		listed(t, c)
		s.slow(2 * time.Second)
		first := make(chan error)
		go func() {
			_, err := c.Update(t.Context(), img.ID, []image.Change{{Field: "p", Property: true, Value: "v"}})
			first <- err
		}()
		synctest.Wait() // it has the turn
		second := make(chan error)
		mode := uint32(0o600)
		go func() {
			_, err := c.Update(t.Context(), img.ID, []image.Change{{Field: image.PropertyAttributes, Property: true, Value: image.Attributes{Mode: &mode}.Encode(img.ID)}})
			second <- err
		}()
		synctest.Wait() // it waits for it
		created := over.SuccessorTime()
		elsewhere := img.Clone()
		elsewhere.Properties = map[string]string{image.PropertyAttributes: image.Attributes{Created: &created}.Encode(img.ID)}
		s.set(elsewhere)
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if err := <-second; err != nil {
			t.Fatal(err)
		}
		s.slow(0)
		now, err := s.Get(t.Context(), img.ID)
		if a := now.Attributes(); err != nil || a.Mode == nil || a.Created == nil || !a.Created.Equal(created) {
			t.Errorf("%v: %+v", err, a)
		}
		if diff := cmp.Diff(map[string]string{"old": img.ID, "old~00000001": over.ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
	})
}
