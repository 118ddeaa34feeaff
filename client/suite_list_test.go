package client

import (
	"net/http"
	"slices"
	"strings"
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

// stranger makes an image of another project that everybody sees, and returns what
// hides it from us.
func (s service) stranger(t *testing.T, n image.New) (id string, hide func()) {
	t.Helper()
	other := s
	other.Client = s.admin
	if s.header != nil { // the embedded server believes what a request says of itself
		transports := newTransports(s.options, nil)
		t.Cleanup(transports.closeIdle)
		other.Client = newClient(s.options, transports, s.session)
		other.base = s.base
		other.plain.Transport = &asAdmin{project: "stranger", next: other.plain.Transport}
	}
	n.Visibility = image.VisibilityPublic
	id = other.create(t, n).ID
	return id, func() {
		if _, err := other.Update(t.Context(), id, []image.Change{{Field: "visibility", Value: "private"}}); err != nil {
			t.Error(err)
		}
	}
}

// asAdmin makes requests an admin's of a project.
type asAdmin struct {
	project string
	next    http.RoundTripper
}

func (a *asAdmin) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Project-Id", a.project)
	req.Header.Set("X-Roles", "admin")
	return a.next.RoundTrip(req)
}

// testMarkerGone: the image at a page's end is deleted, or hidden from us, before the
// next page is asked for. The others are listed, the oldest first, each once.
func testMarkerGone(t *testing.T, s service) {
	tag := []string{randomName()}
	var want []string
	for range 3 {
		want = append(want, s.create(t, image.New{Tags: tag}).ID)
	}
	stranger, hide := s.stranger(t, image.New{Tags: tag})
	want = append(want, stranger)
	s.afterSecond(t, s.get(t, stranger).CreatedAt)
	for range 3 {
		want = append(want, s.create(t, image.New{Tags: tag}).ID)
	}
	transports := newTransports(s.options, nil)
	defer transports.closeIdle()
	log, lines := logged()
	c := newClient(s.options, transports, s.session)
	c.log, c.base = log, s.base
	c.plain.Transport = &smallPages{size: "1", next: c.plain.Transport, before: func(marker string) {
		switch marker {
		case stranger:
			hide()
		case want[0], want[1], want[2], want[4]:
			if err := s.Delete(t.Context(), marker); err != nil && !image.Is(err, image.NotFound) {
				t.Error(err)
			}
		}
	}}
	var got []image.Image
	if _, err := c.List(t.Context(), Filter{Tags: tag}, func(page []image.Image) error { got = append(got, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if listed := ids(got); !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	if !slices.IsSortedFunc(got, func(a, b image.Image) int { return a.CreatedAt.Compare(b.CreatedAt) }) {
		t.Errorf("in the order %+v", got)
	}
	if n := strings.Count(lines.String(), "is gone"); n != 5 {
		t.Errorf("overtaken %d times: %s", n, lines)
	}
}
