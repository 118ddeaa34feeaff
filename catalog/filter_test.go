package catalog

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

func tagged(img image.Image, tags ...string) image.Image {
	img.Tags = tags
	return img
}

// told collects what OnChange tells.
type told struct {
	mu      sync.Mutex // guards the field below
	entries []string
}

func (r *told) note(entry string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entry)
}

// take returns what was told since the last time, in the bubble of a synctest.
func (r *told) take() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.entries
	r.entries = nil
	return got
}

func ready(o *Options) { o.Filter = image.Filter{Tags: []string{"ready"}} }

// The service's filters are hints: what it yields besides is neither listed nor
// found, and takes no entry.
func TestFilterOfRoot(t *testing.T) {
	s := newService(ours(1, "a"), tagged(ours(2, "a"), "ready"), tagged(ours(3, "b"), "READY"), tagged(ours(4, ""), "ready"), ours(5, ""))
	looked, all := newCatalog(t, s, ready), newCatalog(t, s, ready)
	want := map[string]string{"a": ours(2, "").ID, ours(4, "").ID: ours(4, "").ID}
	if diff := cmp.Diff(want, listed(t, all)); diff != "" {
		t.Error(diff)
	}
	for _, entry := range []string{"a", "b", ours(4, "").ID, ours(5, "").ID, "a~00000001", "a~00000002"} {
		if got := lookup(t, looked, entry); got != want[entry] {
			t.Errorf("%s is %q without a listing, want %q", entry, got, want[entry])
		}
		if got := lookup(t, all, entry); got != want[entry] {
			t.Errorf("%s is %q, want %q", entry, got, want[entry])
		}
	}
	for _, c := range []*Catalog{looked, all} {
		if img, err := c.ByID(t.Context(), ours(1, "").ID); err != nil || img.ID != ours(1, "").ID {
			t.Errorf("by id: %+v, %v", img, err)
		}
		if got := lookup(t, c, "a"); got != want["a"] {
			t.Errorf("what was reached by its id shows: %q", got)
		}
	}
}

// What a change of our own makes of an image shows at once: it leaves the root, and
// the kernel is told, or comes.
func TestFilterAndOwnChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kernel told
		s := newService(tagged(ours(1, "a"), "ready"), ours(2, "a"), tagged(ours(3, "b.raw"), "ready"))
		c := newCatalog(t, s, ready, func(o *Options) {
			o.Filter.Name, o.OnChange = "[ab]*", kernel.note
		})
		want := map[string]string{"a": ours(1, "").ID, "b.raw": ours(3, "").ID}
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		if _, err := c.Update(t.Context(), ours(2, "").ID, []image.Change{{Field: "tags", Value: []string{"ready"}}}); err != nil {
			t.Fatal(err)
		}
		want["a~00000002"] = ours(2, "").ID
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Errorf("one came: %s", diff)
		}
		if got := kernel.take(); len(got) > 0 {
			t.Errorf("told %q", got)
		}
		if _, err := c.Update(t.Context(), ours(1, "").ID, []image.Change{{Field: "tags", Value: []string{}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Rename(t.Context(), tagged(ours(3, "b.raw"), "ready"), "c.raw", nil, nil); err != nil {
			t.Fatal(err)
		}
		want = map[string]string{"a": ours(2, "").ID}
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Errorf("two went: %s", diff)
		}
		if diff := cmp.Diff([]string{"a", "a~00000002", "b.raw", "c.raw"}, kernel.take()); diff != "" {
			t.Errorf("told: %s", diff)
		}
		if got := lookup(t, c, "c.raw"); got != "" {
			t.Errorf("c.raw is %q", got)
		}
		time.Sleep(DefaultTTL)
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Errorf("the next listing: %s", diff)
		}
	})
}

// A new file shows as long as it is open, whatever the filter.
func TestFilterAndDrafts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kernel told
		var log strings.Builder
		s := newService()
		c := newCatalog(t, s, ready, func(o *Options) {
			o.OnChange, o.Logger = kernel.note, slog.New(slog.NewTextHandler(&log, nil))
		})
		for _, entry := range []string{"shown", "not"} {
			if err := c.AddDraft(entry, draft(entry)); err != nil {
				t.Fatal(err)
			}
		}
		s.set(tagged(ours(1, "shown"), "ready"))
		s.set(ours(2, "not"))
		c.Committed("shown", tagged(ours(1, "shown"), "ready"), "")
		c.Committed("not", ours(2, "not"), "")
		if diff := cmp.Diff(map[string]string{"shown": "draft shown", "not": "draft not"}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "image="+ours(2, "").ID) {
			t.Errorf("logged %q", got)
		}
		kernel.take()
		c.RemoveDraft(draft("shown"))
		c.RemoveDraft(draft("not"))
		if diff := cmp.Diff(map[string]string{"shown": ours(1, "").ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"not"}, kernel.take()); diff != "" {
			t.Errorf("told: %s", diff)
		}
	})
}

func drawFilter(t *rapid.T) image.Filter {
	f := image.Filter{
		Visibility: rapid.SampledFrom([]image.Visibility{"", "", "public", "shared", "private"}).Draw(t, "visibility"),
		Owner:      rapid.SampledFrom([]string{"", "", "", project, "theirs"}).Draw(t, "owner"),
		Name:       rapid.SampledFrom([]string{"", "", "a*", "*.x", "?", "[!d]*"}).Draw(t, "name"),
	}
	if rapid.Bool().Draw(t, "by tag") {
		f.Tags = []string{"ready"}
	}
	if rapid.Bool().Draw(t, "by status") {
		f.Statuses = []image.Status{image.StatusQueued}
	}
	return f
}

func drawFiltered(t *rapid.T, id string) image.Image {
	img := drawImage(t, id)
	img.Tags = rapid.SliceOfN(rapid.SampledFrom([]string{"ready", "Ready", "other"}), 0, 2).Draw(t, "tags")
	img.Status = rapid.SampledFrom([]image.Status{image.StatusActive, image.StatusQueued}).Draw(t, "status")
	return img
}

// Whatever the filter, the listing is that of the images that it shows, as if no others
// were there, and a lookup says the same: of a catalog that knows nothing yet, of one
// that has listed, and after own changes.
func TestFilterAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFilter(t)
		s := newService()
		draw := func(n int) (drawn []image.Image) {
			for range n {
				img := drawFiltered(t, drawID(t))
				s.set(img)
				drawn = append(drawn, img)
			}
			return drawn
		}
		all := draw(rapid.IntRange(0, 8).Draw(t, "images"))
		for i := range all {
			s.change(func(s *service) { s.accepted[all[i].ID] = true })
		}
		filtered := func(o *Options) { o.Filter = f }
		check := func(when string, c *Catalog) {
			var shown []image.Image
			for _, img := range s.images {
				if s.lists(img) && f.Shows(&img, project) {
					shown = append(shown, img)
				}
			}
			want := spec(shown, project)
			names := slices.Collect(maps.Keys(want))
			for _, img := range s.images {
				base := EntryName(img.Name, img.ID)
				names = append(names, base, shortForm(base, img.ID), wholeForm(base, img.ID))
			}
			for _, who := range []*Catalog{newCatalog(t, s, filtered), c} {
				for _, name := range names {
					e, err := who.Lookup(t.Context(), name)
					if err != nil && !image.Is(err, image.NotFound) {
						t.Fatal(err)
					}
					if e.Image.ID() != want[name] {
						t.Fatalf("%s: %q is %q, want %q", when, name, e.Image.ID(), want[name])
					}
				}
				got, err := readAll(t.Context(), who.List)
				if err != nil {
					t.Fatal(err)
				}
				ids := map[string]string{}
				for _, e := range got {
					ids[e.Name] = e.Image.ID()
				}
				if diff := cmp.Diff(want, ids); diff != "" {
					t.Fatalf("%s: %s", when, diff)
				}
			}
		}
		c := newCatalog(t, s, filtered)
		check("at first", c)
		for _, img := range draw(rapid.IntRange(1, 4).Draw(t, "changes")) {
			s.change(func(s *service) { s.accepted[img.ID] = true })
			c.Put(img)
		}
		check("after own changes", c)
	})
}
