package commit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// minSweep and maxSweep bound the time between two looks at the trash: a look is
	// a listing of all hidden images. What other mounts and other hosts have put
	// there meanwhile is so deleted an hour late at most.
	minSweep = time.Minute
	maxSweep = time.Hour
	// maxDeletions of one look, in images: a service that is asked to delete more
	// at once has no time for anybody else. The rest follows after minSweep.
	maxDeletions = 200
)

// List returns the project's images that lie in the trash, the oldest first.
func (t *Trash) List(ctx context.Context) ([]image.Image, error) {
	return t.list(ctx, func(image.Image) {})
}

// list is List, and calls newer with each image that a later version of this program has
// put there: that is not touched.
func (t *Trash) list(ctx context.Context, newer func(image.Image)) ([]image.Image, error) {
	var all []image.Image
	err := t.hidden.ListHidden(ctx, func(page []image.Image) error {
		for _, img := range page {
			if _, lies := img.Trashed(); lies {
				all = append(all, img)
			} else if img.TrashedByNewer() {
				newer(img)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b image.Image) int {
		whyA, _ := a.Trashed()
		whyB, _ := b.Trashed()
		return cmp.Or(whyA.At.Compare(whyB.At), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Restore makes the image show again, with what it was. Stale: it does not lie in
// the trash (any more).
func (t *Trash) Restore(ctx context.Context, id string) (image.Image, error) {
	if _, err := t.lying(ctx, "restore", id); err != nil {
		return image.Image{}, err
	}
	return t.records.Update(ctx, id, []image.Change{
		{Field: "os_hidden", Value: false},
		{Field: image.PropertyTrash, Property: true},
	})
}

// Delete deletes an image for good that List has returned. Stale: it was restored
// since; Protected, Busy: it stays.
func (t *Trash) Delete(ctx context.Context, img image.Image) error {
	const op = "delete from the trash"
	now, err := t.lying(ctx, op, img.ID)
	switch {
	case image.Is(err, image.NotFound):
		return nil
	case err != nil:
		return err
	case now.Properties[image.PropertyTrash] != img.Properties[image.PropertyTrash]:
		return &image.Error{Op: op, Image: img.ID, Kind: image.Stale, Detail: "it was restored, and removed again"}
	case now.Protected: // by its record already: no request is wasted, and the reason is sure
		return &image.Error{Op: op, Image: img.ID, Kind: image.Protected, Detail: "clear its protected flag first"}
	}
	if err := t.records.Delete(ctx, img.ID); !image.Is(err, image.NotFound) {
		return err
	}
	return nil
}

// lying reads an image as it is now, and refuses one that is not in the trash.
func (t *Trash) lying(ctx context.Context, op, id string) (image.Image, error) {
	img, err := t.records.Get(ctx, id)
	if err != nil {
		return image.Image{}, err
	}
	if _, lies := img.Trashed(); !lies {
		return image.Image{}, &image.Error{Op: op, Image: id, Kind: image.Stale, Detail: "it does not lie in the trash"}
	}
	return img, nil
}

// Expire deletes, until ctx ends, what has lain in the trash for its time: at once,
// and then whenever something is due, as seldom as minSweep and maxSweep say.
func (t *Trash) Expire(ctx context.Context) {
	ctx = image.Quietly(ctx) // a look that fails is told here
	told := map[string]bool{}
	for ctx.Err() == nil {
		if image.Pause(ctx, t.sweep(ctx, told)) != nil {
			return
		}
	}
}

// sweep deletes what is due now and returns when to look again. An image that
// cannot be deleted, or that a later version has to delete, is told once.
func (t *Trash) sweep(ctx context.Context, told map[string]bool) time.Duration {
	all, err := t.list(ctx, func(img image.Image) {
		if !told[img.ID] {
			told[img.ID] = true
			t.log.Warn("a later version of imagefs has put it into the trash, and has to delete it; told once", "image", img.ID, "name", img.Name)
		}
	})
	if err != nil {
		if ctx.Err() == nil {
			t.log.Warn("the trash could not be looked through", "error", err, "next", maxSweep)
		}
		return maxSweep
	}
	now := t.now()
	next, deleted := now.Add(t.keep), 0 // what this mount puts there from now on
	for _, img := range all {
		why, _ := img.Trashed()
		if why.Until.After(now) || deleted == maxDeletions {
			next = earlier(next, why.Until)
			continue
		}
		switch err := t.Delete(ctx, img); {
		case ctx.Err() != nil:
			return 0
		case err == nil:
			deleted++
			t.log.Info("its time in the trash is over: deleted", "image", img.ID, "name", img.Name, "why", why.Why(), "since", why.At.Format(time.RFC3339))
		case !told[img.ID] && !image.Is(err, image.Stale):
			told[img.ID] = true
			t.log.Warn("its time in the trash is over, and it cannot be deleted; it is tried again at each look, and told once",
				"image", img.ID, "name", img.Name, "error", err)
		}
	}
	return min(max(next.Sub(now), min(minSweep, t.keep)), maxSweep)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
