package catalog

import (
	"cmp"
	"context"
	"slices"
)

// Listing is what the directory shows to one reader, from the first entry to the last.
// What an index stands for never changes: a reader may pause, and go back.
type Listing struct{ entries []Entry }

// At returns the entry with index i; ok is false at the end. It waits, with ctx, while
// the service has not come to it yet.
func (l *Listing) At(_ context.Context, i int) (e Entry, ok bool, err error) {
	if i >= len(l.entries) {
		return Entry{}, false, nil
	}
	return l.entries[i], true, nil
}

// Ready reports whether At would not wait.
func (l *Listing) Ready(int) bool { return true }

// List returns everything the root shows, by name. It makes no request while the
// listing is younger than the TTL; then the known one is returned and a refresh
// begins, unless it is older than ten times the TTL: then List waits for the
// refresh, with ctx. While the service does not answer the last listing is
// returned, whatever its age.
func (c *Catalog) List(ctx context.Context) (*Listing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.listLocked(ctx, "list", false); err != nil {
		return nil, err
	}
	if c.shown == nil {
		c.shown = c.entries()
	}
	return &Listing{c.shown}, nil
}

// IDs returns all images of the listing, each under its id, for the directory of ids.
// It is as old as what List returns.
func (c *Catalog) IDs(ctx context.Context) (*Listing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.listLocked(ctx, "list ids", false); err != nil {
		return nil, err
	}
	if c.ids == nil {
		c.ids = make([]Entry, 0, c.dir.len())
		for r := range c.dir.all() {
			c.ids = append(c.ids, Entry{Name: r.id(), Image: r.packed()})
		}
		slices.SortFunc(c.ids, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	}
	return &Listing{c.ids}, nil
}

// entries lays the drafts over the images. The caller holds mu.
func (c *Catalog) entries() []Entry {
	list := make([]Entry, 0, c.dir.len()+len(c.drafts))
	for r := range c.dir.all() {
		e := Entry{Name: r.entry(), Image: r.packed()}
		if o := c.drafts[r.entry()]; o != nil {
			e.Draft = o.draft
		}
		list = append(list, e)
	}
	for name, o := range c.drafts {
		if c.dir.at(name) == nil {
			list = append(list, Entry{Name: name, Draft: o.draft})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
