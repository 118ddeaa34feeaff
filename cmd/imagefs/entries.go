package main

import (
	"context"
	"hash/maphash"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/catalog"
)

// entrySink takes entries as they come. pause is called before a wait for more of them.
type entrySink struct {
	entry func(catalog.Entry) error
	pause func() error
}

// eachEntry hands out everything that the root shows. While the first listing is still
// coming, an older image of the same name, or one that is ours, may come after another
// was handed out with the entry that it then takes: at the end every image whose entry
// has turned out another is handed out again, with the right one.
func eachEntry(ctx context.Context, c *catalog.Catalog, to entrySink) error {
	if c.Stats().Complete {
		return eachOf(ctx, c, to)
	}
	seed := maphash.MakeSeed()
	given := map[uuid.UUID]uint64{} // hashes of entries: there may be very many
	first := to
	first.entry = func(e catalog.Entry) error {
		if id, err := uuid.Parse(e.Image.ID()); err == nil {
			given[id] = maphash.String(seed, e.Name)
		}
		return to.entry(e)
	}
	if err := eachOf(ctx, c, first); err != nil {
		return err
	}
	again := to
	again.entry = func(e catalog.Entry) error {
		id, err := uuid.Parse(e.Image.ID())
		if err != nil || given[id] == maphash.String(seed, e.Name) {
			return nil
		}
		return to.entry(e)
	}
	return eachOf(ctx, c, again)
}

func eachOf(ctx context.Context, c *catalog.Catalog, to entrySink) error {
	l, err := c.List(ctx)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if !l.Ready(i) {
			if err := to.pause(); err != nil {
				return err
			}
		}
		e, ok, err := l.At(ctx, i)
		if err != nil || !ok {
			return err
		}
		if err := to.entry(e); err != nil {
			return err
		}
	}
}
