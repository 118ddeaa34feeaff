package catalog

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func failure(kind image.Kind) error { return &image.Error{Op: "test", Kind: kind, Detail: "asked for"} }

// ours returns an image of our project. Later numbers are created later.
func ours(number int, name string) image.Image {
	return image.Image{
		ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", number, number), Name: name, Owner: project, Status: image.StatusActive,
		Visibility: image.VisibilityPrivate, CreatedAt: epoch.Add(time.Duration(number) * time.Second), UpdatedAt: epoch,
	}
}

// draft is a Draft.
type draft string

func (d draft) ID() string { return string(d) }

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Cleanup(f func())
}

func newCatalog(t tester, s *service, change ...func(*Options)) *Catalog {
	t.Helper()
	opts := Options{Lister: s, Records: s, Remover: s, Sharer: s, Project: project}
	for _, f := range change {
		f(&opts)
	}
	c := New(opts)
	t.Cleanup(c.Close)
	return c
}

// readAll reads a listing from its first entry to its last.
func readAll(ctx context.Context, list func(context.Context) (*Listing, error)) ([]Entry, error) {
	l, err := list(ctx)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for {
		e, ok, err := l.At(ctx, len(entries))
		if err != nil || !ok {
			return entries, err
		}
		entries = append(entries, e)
	}
}

// listed returns what List shows: entry → image id, or "draft <id>".
func listed(t *testing.T, c *Catalog) map[string]string {
	t.Helper()
	entries, err := readAll(t.Context(), c.List)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[e.Name] = e.Image.ID()
		if e.Draft != nil {
			got[e.Name] = "draft " + e.Draft.ID()
		}
	}
	if len(got) != len(entries) {
		t.Fatalf("an entry shows twice: %v", entries)
	}
	return got
}

// lookup returns the id at an entry, "" for an absence.
func lookup(t *testing.T, c *Catalog, entry string) string {
	t.Helper()
	e, err := c.Lookup(t.Context(), entry)
	if err != nil {
		if !image.Is(err, image.NotFound) {
			t.Fatalf("Lookup(%q): %v", entry, err)
		}
		return ""
	}
	if e.Name != entry {
		t.Fatalf("Lookup(%q) is of %q", entry, e.Name)
	}
	if e.Draft != nil {
		return "draft " + e.Draft.ID()
	}
	return e.Image.ID()
}
