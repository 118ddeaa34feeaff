package catalog

import "context"

// Listing is what the directory shows to one reader, from the first entry to the last.
// What an index stands for never changes: a reader may pause, and go back.
type Listing struct {
	entries interface {
		at(ctx context.Context, i int) (Entry, bool, error)
		ready(i int) bool
		still(e Entry) bool
	}
}

// At returns the entry with index i; ok is false at the end. It waits, with ctx, while
// the service has not come to it yet. Where the listing fails, the error comes after
// the entries that came before.
func (l *Listing) At(ctx context.Context, i int) (e Entry, ok bool, err error) {
	return l.entries.at(ctx, i)
}

// Ready reports whether At would not wait.
func (l *Listing) Ready(i int) bool { return l.entries.ready(i) }

// Still reports whether an entry of the listing stands for the same image and draft by
// now, as far as is known: it makes no request.
func (l *Listing) Still(e Entry) bool { return l.entries.still(e) }

// List returns everything the root shows. Before the first listing is complete, the
// entries come as the service sends them, and List itself does not wait. After that it
// makes no request while the listing is younger than the TTL; then the known one is
// returned and a refresh begins, unless it is older than ten times the TTL: then List
// waits for the refresh, with ctx. While the service does not answer the last listing
// is returned, whatever its age.
func (c *Catalog) List(ctx context.Context) (*Listing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete() {
		return &Listing{&follower{s: c.beginPass().entries()}}, nil
	}
	if err := c.current(ctx, "list", false); err != nil {
		return nil, err
	}
	return &Listing{c.snapshotNow()}, nil
}

// IDs returns all images of the listing, each under its id, for the directory of ids.
// It is as old as what List returns, and comes as that does.
func (c *Catalog) IDs(ctx context.Context) (*Listing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete() {
		return &Listing{&follower{s: c.beginPass().ids()}}, nil
	}
	if err := c.current(ctx, "list ids", false); err != nil {
		return nil, err
	}
	return &Listing{byID{c.snapshotNow()}}, nil
}

// shownItem is an image of a listing, with the draft that lies over it by now. The
// caller holds mu.
func (c *Catalog) shownItem(it item) Entry {
	e := Entry{Name: it.name, Image: it.row.packed()}
	if o := c.drafts[it.name]; o != nil {
		e.Draft = o.draft
	}
	return e
}

// still reports whether an entry stands for the same image and draft by now. The caller
// holds mu.
func (c *Catalog) still(e Entry) bool {
	var draft Draft
	if o := c.drafts[e.Name]; o != nil {
		draft = o.draft
	}
	return draft == e.Draft && c.remembered(e.Name).Image.ID() == e.Image.ID()
}

// shownDraft is a draft of a listing, with the image that it has become by now. The
// caller holds mu.
func (c *Catalog) shownDraft(e Entry) Entry {
	if r := c.dir.at(e.Name); r != nil {
		return c.shownItem(item{e.Name, r})
	}
	return e
}
