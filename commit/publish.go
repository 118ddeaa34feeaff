package commit

import (
	"context"
	"errors"
	"fmt"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// errUnsure says that the service does not answer what became of the replaced
// image: neither of the two may be removed now.
var errUnsure = errors.New("what became of the replaced image is not known")

// publish makes the checked image visible under its final name and then retires
// the one that it replaces. That order leaves others without an image of that
// name at no moment; for the time of one request they can see two, both whole.
// On an error the new image has to be taken back.
func (r *run) publish(ctx context.Context, img image.Image) (image.Image, error) {
	if r.d.Unlinked() {
		return image.Image{}, errUnlinked
	}
	img, err := r.follow(ctx, img)
	if err != nil {
		return image.Image{}, err
	}
	r.published = true
	if img, err = r.show(ctx, img); err != nil {
		return image.Image{}, err
	}
	if err := r.journal(staging.StateVisible, func(rec *staging.Record) { rec.Given = rec.Settings }); err != nil {
		return image.Image{}, err
	}
	return r.retire(ctx, img)
}

// show brings the record to what it shall be at the end, in one request: not
// hidden, without the mark, with the name, the attributes and the settings that the
// draft has by now. Until then it is not protected, so that it can be taken back. Of one
// that shows already, what was set before is everybody's to change.
func (r *run) show(ctx context.Context, img image.Image) (image.Image, error) {
	rec, attributes := r.d.Record(), r.attributes(img.ID)
	name, settings, given := rec.Name, rec.Settings, rec.Given
	if r.marked(img) && !(settings.IsZero() && given.IsZero()) {
		given = settings
		if err := r.d.Update(func(rec *staging.Record) { rec.Given = given }); err != nil {
			return img, err
		}
	}
	if settings.Hidden == nil {
		settings.Hidden = &r.plan.hidden
	}
	pending := func(img image.Image) []image.Change {
		var changes []image.Change
		if img.Properties[image.PropertyDraft] == "" {
			changes = settings.MissingSince(given, img)
		} else {
			changes = append(settings.Missing(img), image.Change{Field: image.PropertyDraft, Property: true})
		}
		if img.Name != name {
			changes = append(changes, image.Change{Field: "name", Value: name})
		}
		switch has := img.Properties[image.PropertyAttributes]; {
		case has == attributes:
		case attributes == "":
			changes = append(changes, image.Change{Field: image.PropertyAttributes, Property: true})
		default:
			changes = append(changes, image.Change{Field: image.PropertyAttributes, Property: true, Value: attributes})
		}
		return changes
	}
	err := again(ctx, transientOrBusy, func(ctx context.Context) error {
		changes := pending(img)
		if len(changes) == 0 {
			return nil
		}
		after, err := r.c.service.Update(ctx, img.ID, changes)
		if err == nil {
			img = after
			return nil
		}
		// The answer may have been lost: the record tells.
		now, getErr := r.c.service.Get(ctx, img.ID)
		if getErr != nil {
			return err
		}
		img = now
		if len(pending(now)) == 0 {
			return nil
		}
		return err
	})
	return img, err
}

// retire takes the replaced image away, once what is known to have come to the name by a
// rename is settled: it may be the replaced image, and would bring back what it has
// replaced itself. It looks at the image first: while the upload
// ran, somebody may have renamed it to keep it, or changed what the new one has to take
// over, which it returns.
func (r *run) retire(ctx context.Context, img image.Image) (image.Image, error) {
	if r.plan.old == nil {
		return img, nil
	}
	moved := again(ctx, transient, func(ctx context.Context) error { return r.c.renames.FinishBefore(ctx, r.plan.old.ID) })
	if moved != nil && !image.Is(moved, image.Stale) {
		return img, moved
	}
	old, err := r.lookup(ctx, r.plan.old.ID)
	switch {
	case transient(err):
		return img, fmt.Errorf("%w: %w", errUnsure, err)
	case err != nil:
		return img, err
	case moved != nil && (old == nil || r.retired(*old)): // else it has come back to its name
		return img, moved
	case old == nil:
		return img, nil
	case r.retired(*old):
		r.log.Info("the image to replace has been put aside already; it is left alone", "image", r.made, "replaced", old.ID, "name", old.Name)
		return img, nil
	}
	if err := old.Replaceable(opReplace); err != nil {
		return img, err
	}
	if r.plan.from != nil {
		if img, err = r.carry(ctx, img, *old, false); err == nil {
			img, err = r.show(ctx, img)
		}
		if err != nil {
			return img, err
		}
	}
	return img, r.takeAway(ctx)
}

// takeAway deletes the replaced image, or has it hidden, or takes its name where the
// service refuses to delete it because it is in use. nil: the name is the new image's
// alone.
func (r *run) takeAway(ctx context.Context) error {
	id := r.plan.old.ID
	err := again(ctx, transient, func(ctx context.Context) error { return r.c.trash.Remove(ctx, id, r.made) })
	switch {
	case err == nil, image.Is(err, image.NotFound):
		return nil
	case image.Is(err, image.Busy):
		return r.moveAside(ctx, err)
	}
	now, lookErr := r.inPlace(ctx, id)
	switch {
	case lookErr != nil:
		return fmt.Errorf("%w: %w", errUnsure, err)
	case now == nil: // the answer was lost
		return nil
	default:
		return err
	}
}

// moveAside gives the replaced image another name. busy is why it could not be
// deleted.
func (r *run) moveAside(ctx context.Context, busy error) error {
	id := r.plan.old.ID
	aside := r.plan.old.AsideName()
	err := again(ctx, transient, func(ctx context.Context) error {
		_, err := r.c.service.Update(ctx, id, []image.Change{{Field: "name", Value: aside}})
		return err
	})
	if err != nil {
		now, lookErr := r.lookup(ctx, id)
		switch {
		case lookErr != nil:
			return fmt.Errorf("%w: %w; %w", errUnsure, busy, err)
		case now != nil && now.Name != aside:
			return &image.Error{Op: opReplace, Image: id, Kind: image.Busy, Detail: "the service lets the old image neither be deleted nor be renamed", Err: fmt.Errorf("%w; %w", busy, err)}
		}
	}
	r.log.Warn("the replaced image is in use and cannot be deleted; it was renamed", "image", r.made, "replaced", id, "renamed", aside, "error", busy)
	return nil
}

// delete removes one image for good, of which the directory is told; that there is none
// is fine. One that this draft's
// settings have protected when it was published is taken back all the same.
func (r *run) delete(ctx context.Context, id string, retry func(error) bool) error {
	protects := r.d.Record().Settings.Protected
	err := again(ctx, retry, func(ctx context.Context) error {
		err := r.c.service.Delete(ctx, id)
		if image.Is(err, image.Protected) && protects != nil && *protects {
			if _, err = r.c.service.Update(ctx, id, []image.Change{{Field: "protected", Value: false}}); err == nil {
				err = r.c.service.Delete(ctx, id)
			}
		}
		if image.Is(err, image.NotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		r.c.names.Gone(id)
	}
	return err
}
