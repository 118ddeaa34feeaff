package client

import (
	"slices"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// afterSecond waits until the service's clock, which gives whole seconds, shows a
// later one than t.
func (s service) afterSecond(t *testing.T, at time.Time) {
	t.Helper()
	clock := s.create(t, image.New{})
	for s.touch(t, clock.ID).UpdatedAt.Compare(at) <= 0 {
		time.Sleep(100 * time.Millisecond)
	}
}

// touch changes an image so that its updated_at moves.
func (s service) touch(t *testing.T, id string, changes ...image.Change) image.Image {
	t.Helper()
	img, err := s.Update(t.Context(), id, append(changes, image.Change{Field: "touched", Property: true, Value: randomName()}))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// testUpdatedSince: what was changed since a time is listed, whichever of the two
// listings it is in now, and what was not is left out.
func testUpdatedSince(t *testing.T, s service) {
	tag := []string{randomName()}
	old := s.create(t, image.New{Tags: tag})
	changed, hidden := s.create(t, image.New{Tags: tag}), s.create(t, image.New{Tags: tag})
	unhidden, stillHidden := s.create(t, image.New{Tags: tag, Hidden: true}), s.create(t, image.New{Tags: tag, Hidden: true})
	gone := s.create(t, image.New{Tags: tag})
	s.afterSecond(t, stillHidden.UpdatedAt)
	since := s.touch(t, changed.ID).UpdatedAt
	s.touch(t, hidden.ID, image.Change{Field: "os_hidden", Value: true})
	s.touch(t, unhidden.ID, image.Change{Field: "os_hidden", Value: false})
	made := s.create(t, image.New{Tags: tag})
	if err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{UpdatedSince: since}, []string{changed.ID, unhidden.ID, made.ID}},
		{Filter{UpdatedSince: since, Hidden: true}, []string{hidden.ID}},
		{Filter{UpdatedSince: old.CreatedAt}, []string{old.ID, changed.ID, unhidden.ID, made.ID}},
		{Filter{UpdatedSince: old.CreatedAt, Hidden: true}, []string{hidden.ID, stillHidden.ID}},
		{Filter{UpdatedSince: since.Add(24 * time.Hour)}, nil},
	} {
		test.filter.Tags = tag
		slices.Sort(test.want)
		if got := ids(s.list(t, test.filter)); !slices.Equal(got, test.want) {
			t.Errorf("%+v: listed %v, want %v", test.filter, got, test.want)
		}
	}
}
