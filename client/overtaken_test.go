package client

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// epoch is when the first image of a shelf may have been created.
var epoch = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// shelved is one image of a shelf.
type shelved struct {
	id      string
	created time.Time
	private bool // another project's, which we do not see any more
}

// shelf is a service that lists as Glance does. Between two requests the test
// changes what it has.
type shelf struct {
	images   []shelved
	size     int // of a page
	newest   bool
	between  func(*shelf, *http.Request)
	requests []string // markers and bounds
}

func (s *shelf) serve(w http.ResponseWriter, r *http.Request) { // one request at a time
	if s.between != nil {
		s.between(s, r)
	}
	q := r.URL.Query()
	s.requests = append(s.requests, q.Get("created_at")+" "+q.Get("marker"))
	order := func(a, b shelved) int { return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id)) }
	if s.newest {
		order = func(a, b shelved) int { return -cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id)) }
	}
	slices.SortFunc(s.images, order)
	var page []string
	at := -1
	if marker := q.Get("marker"); marker != "" {
		at = slices.IndexFunc(s.images, func(i shelved) bool { return i.id == marker })
		switch {
		case at < 0:
			http.Error(w, "No image found with ID "+marker, http.StatusBadRequest)
			return
		case s.images[at].private:
			http.Error(w, "Forbidding request, image "+marker+" not visible", http.StatusForbidden)
			return
		}
	}
	bound, last := strings.TrimPrefix(q.Get("created_at"), "gte:"), ""
	for _, i := range s.images[at+1:] {
		if created := i.created.Format(time.RFC3339); !i.private && created >= bound && len(page) < s.size {
			page, last = append(page, record(i.id, fmt.Sprintf(`, "created_at": %q`, created))), i.id
		}
	}
	next := ""
	if len(page) == s.size {
		next = `, "next": "/v2/images?limit=1000&marker=` + last + `"`
	}
	fmt.Fprintf(w, `{"images": [%s]%s}`, strings.Join(page, ", "), next)
}

func (s *shelf) put(n int, created time.Time) {
	s.images = append(s.images, shelved{id: numbered(n), created: created})
}

func (s *shelf) at(id string) *shelved {
	at := slices.IndexFunc(s.images, func(i shelved) bool { return i.id == id })
	if at < 0 {
		return nil
	}
	return &s.images[at]
}

func (s *shelf) remove(id string) {
	s.images = slices.DeleteFunc(s.images, func(i shelved) bool { return i.id == id })
}

// TestListGoesOn: the image at a page's end goes before the next page is asked for,
// or is not shown to us any more. What was read is not read again.
func TestListGoesOn(t *testing.T) {
	for name, going := range map[string]func(s *shelf, id string){
		"deleted": (*shelf).remove,
		"private": func(s *shelf, id string) { s.at(id).private = true },
	} {
		t.Run(name, func(t *testing.T) {
			gone := []string{numbered(3), numbered(6)}
			s := &shelf{size: 2, between: func(s *shelf, r *http.Request) {
				if m := r.URL.Query().Get("marker"); slices.Contains(gone, m) && s.at(m) != nil {
					going(s, m)
				}
			}}
			for n := range 9 {
				s.put(n, epoch.Add(time.Duration(n/2)*time.Second)) // two of one second
			}
			got, err := list(t, fake(t, Options{}, s.serve), Filter{})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for n := range 9 {
				want = append(want, numbered(n))
			}
			if !slices.Equal(got, want) {
				t.Errorf("listed %v", got)
			}
			bound := func(n int) string { return "gte:" + epoch.Add(time.Duration(n)*time.Second).Format(filterTime) }
			asked := []string{" ", " " + numbered(1), " " + numbered(3),
				bound(1) + " ", bound(1) + " " + numbered(4), bound(1) + " " + numbered(6),
				bound(3) + " ", bound(3) + " " + numbered(8)}
			if !slices.Equal(s.requests, asked) {
				t.Errorf("asked %q,\nwant  %q", s.requests, asked)
			}
		})
	}
}

// TestListUnordered: a service that does not keep to the order is listed completely,
// too: it begins again.
func TestListUnordered(t *testing.T) {
	s := &shelf{size: 2, newest: true, between: func(s *shelf, r *http.Request) {
		if m := r.URL.Query().Get("marker"); m == numbered(5) {
			s.remove(m)
		}
	}}
	for n := range 9 {
		s.put(n, epoch.Add(time.Duration(n)*time.Second))
	}
	got, err := list(t, fake(t, Options{}, s.serve), Filter{})
	slices.Sort(got)
	if err != nil || len(slices.Compact(got)) != 9 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestListWhileChanging: whatever others create and remove during a listing, it ends,
// no id comes twice, what was there all the time is listed, and so is what was made.
func TestListWhileChanging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &shelf{size: rapid.IntRange(1, 4).Draw(t, "page")}
		later := rapid.SliceOfN(rapid.IntRange(0, 1), 0, 20).Draw(t, "seconds between images")
		// What others do before each request; drawn here, because a server must not.
		plan := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 99), 0, 2), 0, 12).Draw(t, "changes")
		made, seconds := 0, 0
		create := func(id int) {
			s.put(id*1000+made, epoch.Add(time.Duration(seconds)*time.Second))
			made++
		}
		for n, more := range later {
			seconds += more
			create(n * 7 % 10)
		}
		ever := make(map[string]bool) // the images that were ever there, and whether they stayed
		note := func() {
			for id := range ever {
				ever[id] = ever[id] && s.at(id) != nil && !s.at(id).private
			}
			for _, i := range s.images {
				if _, known := ever[i.id]; !known {
					ever[i.id] = true
				}
			}
		}
		s.between = func(s *shelf, r *http.Request) {
			if len(plan) == 0 {
				return
			}
			marker := r.URL.Query().Get("marker")
			for _, change := range plan[0] {
				switch what, pick := change%4, change/4; {
				case what == 0:
					seconds++ // a second that was read to its end takes no more
					create(pick)
				case what == 1:
					s.remove(marker)
				case what == 2 && s.at(marker) != nil:
					s.at(marker).private = true
				case what == 3 && len(s.images) > 0:
					s.remove(s.images[pick%len(s.images)].id)
				}
			}
			plan = plan[1:]
			note()
		}
		note()
		c := fake(t, Options{}, s.serve)
		counts := make(map[string]int)
		if _, err := c.List(t.Context(), Filter{}, func(page []image.Image) error {
			for _, i := range page {
				counts[i.ID]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for id, there := range ever {
			if n := counts[id]; n > 1 || there && n == 0 {
				t.Errorf("%s came %d times; requests %q", id, n, s.requests)
			}
		}
	})
}
