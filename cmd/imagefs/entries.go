package main

import (
	"context"
	"hash/maphash"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

// entrySink takes entries as they come. pause is called before a wait for more of them.
type entrySink struct {
	entry func(catalog.Entry) error
	pause func() error
}

// heldBack is how many entries of a listing that is still coming are waited for before
// the first is handed out: five pages, two seconds of a real service. Most clouds have
// fewer images; there each comes once, for nothing can move any more.
const heldBack = 5000

// eachEntry hands out everything that the root shows. While the first listing is still
// coming, and has brought more than hold entries, an older image of the same name, or
// one that is ours, may come after another was handed out with the entry that it then
// takes: at the end every image whose entry has turned out another is handed out again,
// with the right one.
func eachEntry(ctx context.Context, c *catalog.Catalog, hold int, to entrySink) error {
	if c.Stats().Complete {
		return eachOf(ctx, c, to)
	}
	l, err := c.List(ctx)
	if err != nil {
		return err
	}
	for i := range hold {
		_, ok, err := entryAt(ctx, l, i, to)
		if err != nil {
			break // it comes again, after the entries that came before
		}
		if !ok {
			return eachOf(ctx, c, to)
		}
	}
	seed := maphash.MakeSeed()
	given := map[image.UUID]uint64{} // hashes of entries: there may be very many
	first := to
	first.entry = func(e catalog.Entry) error {
		if id, ok := e.Image.UUID(); ok {
			given[id] = maphash.String(seed, e.Name)
		}
		return to.entry(e)
	}
	if err := eachIn(ctx, l, first); err != nil {
		return err
	}
	again := to
	again.entry = func(e catalog.Entry) error {
		id, ok := e.Image.UUID()
		if !ok || given[id] == maphash.String(seed, e.Name) {
			return nil
		}
		return to.entry(e)
	}
	return eachOf(ctx, c, again)
}

// eachOf hands out what the catalog lists now.
func eachOf(ctx context.Context, c *catalog.Catalog, to entrySink) error {
	l, err := c.List(ctx)
	if err != nil {
		return err
	}
	return eachIn(ctx, l, to)
}

func eachIn(ctx context.Context, l *catalog.Listing, to entrySink) error {
	for i := 0; ; i++ {
		e, ok, err := entryAt(ctx, l, i, to)
		if err != nil || !ok {
			return err
		}
		if err := to.entry(e); err != nil {
			return err
		}
	}
}

func entryAt(ctx context.Context, l *catalog.Listing, i int, to entrySink) (e catalog.Entry, ok bool, err error) {
	if !l.Ready(i) {
		if err := to.pause(); err != nil {
			return catalog.Entry{}, false, err
		}
	}
	return l.At(ctx, i)
}
