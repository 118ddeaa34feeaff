package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// numbered is the id of record n.
func numbered(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func list(t *testing.T, c *Client, f Filter) ([]string, error) {
	t.Helper()
	var got []string
	_, err := c.List(t.Context(), f, func(page []image.Image) error {
		for _, i := range page {
			got = append(got, i.ID)
		}
		return nil
	})
	return got, err
}

// TestListOvertaken: the image at a page's end is deleted before the next page is
// asked for. The listing is complete, and no id comes twice.
func TestListOvertaken(t *testing.T) {
	stored := []string{}
	for n := range 9 {
		stored = append(stored, numbered(n))
	}
	deletions := 0
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { // one request at a time
		marker := r.URL.Query().Get("marker")
		if r.URL.Query().Get("limit") != "1000" || r.URL.Path != "/v2/images" {
			t.Errorf("asked for %s", r.URL)
		}
		if (marker == numbered(3) || marker == numbered(6)) && slices.Contains(stored, marker) {
			stored = slices.DeleteFunc(stored, func(id string) bool { return id == marker })
			deletions++
		}
		from := slices.Index(stored, marker) + 1
		if marker != "" && from == 0 {
			http.Error(w, "Marker could not be found", http.StatusBadRequest)
			return
		}
		if from == len(stored) { // a full page has a link, even if it was the last
			fmt.Fprint(w, `{"images": []}`)
			return
		}
		page := stored[from:min(from+2, len(stored))]
		var records []string
		for _, id := range page {
			records = append(records, record(id, ""))
		}
		// The path of the link lacks a prefix that only a proxy knows.
		fmt.Fprintf(w, `{"images": [%s], "next": "/elsewhere/images?limit=1000&marker=%s"}`, strings.Join(records, ", "), page[len(page)-1])
	})
	got, err := list(t, c, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{}
	for n := range 9 {
		want = append(want, numbered(n))
	}
	if !slices.Equal(got, want) || deletions != 2 {
		t.Errorf("%d deletions, listed %v", deletions, got)
	}
}

// TestListEnds: services whose listing does not.
func TestListEnds(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"the same page for ever": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?marker=a"}`, record(someID, ""))
		},
		"the first page again": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images"}`, record(someID, ""))
		},
		"no listing": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"servers": []}`) },
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `images`) },
		"bad link": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"images": [], "next": "http://[::1/%zz"}`)
		},
		"gone": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := list(t, fake(t, Options{}, handler), Filter{})
			wantKind(t, err, image.UnexpectedAnswer)
		})
	}
	var asked atomic.Int32
	always := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Query().Get("marker") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?marker=%s"}`, record(someID, ""), someID)
	})
	got, err := list(t, always, Filter{})
	wantKind(t, err, image.Rejected)
	if want := 2 * (listRestarts + 2); int(asked.Load()) != want || len(got) != 1 {
		t.Errorf("asked %d times, want %d; %v", asked.Load(), want, got)
	}
	refused := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusBadRequest) })
	asked.Store(0)
	_, err = list(t, refused, Filter{})
	wantKind(t, err, image.Rejected)
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestListBadRecord: one record that is not understood does not cost the others.
func TestListBadRecord(t *testing.T) {
	log, lines := logged()
	c := fake(t, Options{Logger: log}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"images": [%s, {"id": "x", "status": "active"}, 5, %s]}`, record(someID, ""), record(otherID, ""))
	})
	var got []string
	whole, err := c.List(t.Context(), Filter{}, func(page []image.Image) error {
		for _, img := range page {
			got = append(got, img.ID)
		}
		return nil
	})
	if whole || err != nil || !slices.Equal(got, []string{someID, otherID}) {
		t.Errorf("%v, %v; whole: %v", got, err, whole)
	}
	if strings.Count(lines.String(), "left out") != 2 {
		t.Errorf("log: %s", lines)
	}
}

// TestListBadRecordOfName: who asks for a name must not take it for free where it is in a
// record that is not understood.
func TestListBadRecordOfName(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"images": [{"name": "wanted", "status": "active"}]}`)
	})
	name := "wanted"
	got, err := list(t, c, Filter{Name: &name})
	wantKind(t, err, image.UnexpectedAnswer)
	if len(got) != 0 || !errors.Is(err, image.ErrUnreadable) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestGetBadRecord: a record that is not understood is told from an answer that is none.
func TestGetBadRecord(t *testing.T) {
	for body, unreadable := range map[string]bool{`{"id": "x", "status": "active"}`: true, `<html>`: false, `{"id": `: false} {
		c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		_, err := c.Get(t.Context(), someID)
		wantKind(t, err, image.UnexpectedAnswer)
		if errors.Is(err, image.ErrUnreadable) != unreadable {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestListYieldError(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"images": [%s]}`, record(someID, ""))
	})
	mine := &image.Error{Op: "mine", Err: &answerError{status: http.StatusBadRequest}}
	calls := 0
	_, err := c.List(t.Context(), Filter{}, func([]image.Image) error { calls++; return mine })
	if !errors.Is(err, mine) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestListAhead: while the caller works on a page the next one is asked for, and no
// other, and what is under way ends with the listing.
func TestListAhead(t *testing.T) {
	const pages = 5
	var highest atomic.Int32
	asked := make([]chan struct{}, pages)
	for n := range asked {
		asked[n] = make(chan struct{})
	}
	ended := make(chan struct{})
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		if m := r.URL.Query().Get("marker"); m != "" {
			_, _ = fmt.Sscanf(m[24:], "%d", &n)
		}
		highest.Store(int32(n))
		close(asked[n])
		if n == pages-1 {
			<-r.Context().Done()
			close(ended)
			return
		}
		fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?marker=%s"}`, record(numbered(n), ""), numbered(n+1))
	})
	stop, yielded := errors.New("enough"), 0
	_, err := c.List(t.Context(), Filter{}, func([]image.Image) error {
		<-asked[yielded+1]
		if got := int(highest.Load()); got != yielded+1 {
			t.Errorf("page %d was asked for while page %d was read", got, yielded)
		}
		if yielded++; yielded == pages-1 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	<-ended
}

// TestListWrongGuess: a property that looks like the link to the next page leads
// nowhere, and a link that is not at the page's end is followed.
func TestListWrongGuess(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch m := r.URL.Query().Get("marker"); m {
		case "":
			fmt.Fprintf(w, `{"next": "/v2/images?marker=%s", "images": [%s]}`, numbered(1), record(numbered(0), `, "next": "/v2/images?marker=`+otherID+`"`))
		case numbered(1):
			fmt.Fprintf(w, `{"images": [%s]}`, record(numbered(2), `, "next": "/v2/images?marker=`+otherID+`"`))
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	got, err := list(t, c, Filter{})
	if err != nil || !slices.Equal(got, []string{numbered(0), numbered(2)}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestListManyTags: Glance's link to the next page has lost all tags but one.
func TestListManyTags(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query()["tag"]; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("asked for tags %q", got)
		}
		if r.URL.Query().Get("marker") == "" {
			fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?tag=b&marker=%s"}`, record(someID, ""), someID)
			return
		}
		fmt.Fprint(w, `{"images": []}`)
	})
	if got, err := list(t, c, Filter{Tags: []string{"a", "b"}}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestFilterQuery(t *testing.T) {
	name := "in:a,b"
	got := Filter{Name: &name, Hidden: true, Visibility: "public", Owner: "o", Tags: []string{"x y", "z", " w"},
		Statuses: []image.Status{"active", "queued"}, Formats: []string{"raw"}, MemberStatus: "all",
		UpdatedSince: time.Date(2026, 11, 22, 1, 38, 57, 999, time.FixedZone("", 3600))}.query().Encode()
	if want := "disk_format=in%3Araw&limit=1000&member_status=all&name=eq%3Ain%3Aa%2Cb&os_hidden=true&owner=o&sort=created_at%3Aasc&status=in%3Aactive%2Cqueued&tag=x+y&tag=z&updated_at=gte%3A2026-11-22T00%3A38%3A57Z&visibility=public"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { // a database that ignores case
		fmt.Fprintf(w, `{"images": [%s, %s]}`, record(someID, ""), strings.Replace(record(otherID, ""), `"n"`, `"N"`, 1))
	})
	name = "n"
	if got, err := list(t, c, Filter{Name: &name}); err != nil || !slices.Equal(got, []string{someID}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestListCaseOfIDs: ids that differ in their case only are two images, for Glance
// keeps the case that a client chose.
func TestListCaseOfIDs(t *testing.T) {
	lower := "abcdef00-0000-4000-8000-000000000001"
	upper := strings.ToUpper(lower)
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"images": [%s, %s, %s]}`, record(lower, ""), record(upper, ""), record(lower, ""))
	})
	got, err := list(t, c, Filter{})
	if want := []string{lower, upper}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; not %v", got, err, want)
	}
}
