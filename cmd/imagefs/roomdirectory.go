package main

import (
	"context"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
)

// lister lists the service's images for the catalog: those that the filter shows, and
// perhaps others.
type lister struct {
	client *client.Client
	filter image.Filter
}

// ListImages yields the images that the query chooses. What the service cannot list at
// once is listed one after the other.
func (l lister) ListImages(ctx context.Context, q catalog.Query, yield func([]image.Image) error) (whole bool, err error) {
	if q.Name != nil && !l.filter.ShowsName(*q.Name) {
		return true, nil
	}
	listings := client.Shown(l.filter)
	if !q.UpdatedSince.IsZero() {
		listings = client.Changed(l.filter, l.client.Project(), q.UpdatedSince)
	}
	whole = true
	for _, f := range listings {
		if q.Name != nil {
			f.Name = q.Name
		}
		all, err := l.client.List(ctx, f, yield)
		if err != nil {
			return false, err
		}
		whole = whole && all
	}
	return whole, nil
}

// directory is the catalog as fs sees it.
type directory struct{ *catalog.Catalog }

// Lookup finds one entry.
func (d directory) Lookup(ctx context.Context, entry string) (fs.Entry, error) {
	e, err := d.Catalog.Lookup(ctx, entry)
	if err != nil {
		return fs.Entry{}, err
	}
	return toEntry(e), nil
}

// List lists all entries.
func (d directory) List(ctx context.Context) (fs.Listing, error) {
	return toListing(d.Catalog.List(ctx))
}

// IDs lists all images by their id.
func (d directory) IDs(ctx context.Context) (fs.Listing, error) {
	return toListing(d.Catalog.IDs(ctx))
}

// listing is a listing of the catalog as fs sees it.
type listing struct{ *catalog.Listing }

func toListing(l *catalog.Listing, err error) (fs.Listing, error) {
	if err != nil {
		return nil, err
	}
	return listing{l}, nil
}

// At returns one entry.
func (l listing) At(ctx context.Context, i int) (fs.Entry, bool, error) {
	e, ok, err := l.Listing.At(ctx, i)
	return toEntry(e), ok, err
}

// Still reports whether an entry stands for the same by now.
func (l listing) Still(e fs.Entry) bool {
	return l.Listing.Still(fromEntry(e))
}

func fromEntry(e fs.Entry) catalog.Entry {
	entry := catalog.Entry{Name: e.Name, Image: e.Image}
	if e.Draft != "" {
		entry.Draft = draftID(e.Draft)
	}
	return entry
}

func toEntry(e catalog.Entry) fs.Entry {
	entry := fs.Entry{Name: e.Name, Image: e.Image}
	if e.Draft != nil {
		entry.Draft = e.Draft.ID()
	}
	return entry
}

// draftID is a draft as the catalog sees it.
type draftID string

// ID is the draft's id.
func (d draftID) ID() string { return string(d) }

// Rename renames an image, and journals that where it is over another one.
func (d directory) Rename(ctx context.Context, img image.Image, entry string, over *image.Image, j fs.RenameJournal, also ...image.Change) (image.Image, error) {
	return d.Catalog.Rename(ctx, img, entry, over, j, also...)
}

// AddDraft shows a draft.
func (d directory) AddDraft(entry, draft string) error {
	return d.Catalog.AddDraft(entry, draftID(draft))
}

// MoveDraft shows it elsewhere.
func (d directory) MoveDraft(draft, entry string) { d.Catalog.MoveDraft(draftID(draft), entry) }

// RemoveDraft shows it no longer.
func (d directory) RemoveDraft(draft string) { d.Catalog.RemoveDraft(draftID(draft)) }

// ImageName is the name that an image at the entry has.
func (directory) ImageName(entry string) (string, error) { return catalog.ImageName(entry) }
