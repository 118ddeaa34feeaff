package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestDrafts(t *testing.T) {
	s := newService(ours(1, "a"))
	c := newCatalog(t, s)
	if err := c.AddDraft("new", draft("d1")); err != nil {
		t.Fatal(err)
	}
	if got := lookup(t, c, "new"); got != "draft d1" {
		t.Errorf("got %q", got)
	}
	wantRequests(t, s)
	if err := c.AddDraft("new", draft("d1")); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := c.AddDraft("new", draft("d2")); !image.Is(err, image.Exists) {
		t.Errorf("another at the same entry: %v", err)
	}
	listed(t, c)
	if err := c.AddDraft("a", draft("d2")); err != nil {
		t.Fatal(err)
	}
	if e, err := c.Lookup(t.Context(), "a"); err != nil || e.Draft == nil || e.Image.ID() != ours(1, "").ID {
		t.Errorf("over an image: %+v, %v", e, err)
	}
	want := map[string]string{"a": "draft d2", "new": "draft d1"}
	if diff := cmp.Diff(want, listed(t, c)); diff != "" {
		t.Error(diff)
	}
	c.MoveDraft(draft("d2"), "new") // over d1
	want = map[string]string{"a": ours(1, "").ID, "new": "draft d2"}
	if diff := cmp.Diff(want, listed(t, c)); diff != "" {
		t.Error(diff)
	}
	c.RemoveDraft(draft("d1"))
	if got := lookup(t, c, "new"); got != "draft d2" {
		t.Errorf("removing what no longer shows: %q", got)
	}
	c.Committed("d2", ours(2, "new"), "")
	if e, err := c.Lookup(t.Context(), "new"); err != nil || e.Draft == nil || e.Image.ID() != ours(2, "").ID {
		t.Errorf("after the commit, while it is open: %+v, %v", e, err)
	}
	c.RemoveDraft(draft("d2"))
	if got := lookup(t, c, "new"); got != ours(2, "").ID {
		t.Errorf("after the commit: %q", got)
	}
	hidden := ours(3, "half")
	hidden.Hidden, hidden.Properties = true, map[string]string{image.PropertyDraft: "d3"}
	c.Put(hidden)
	want = map[string]string{"a": ours(1, "").ID, "new": ours(2, "").ID}
	if diff := cmp.Diff(want, listed(t, c)); diff != "" {
		t.Error(diff)
	}
	if got := lookup(t, c, "half"); got != "" {
		t.Errorf("a record under upload shows: %q", got)
	}
	if stats := c.Stats(); stats.Drafts != 0 || stats.Images != 2 {
		t.Errorf("%+v", stats)
	}
}
