package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// A change that the kernel waits for under its lock of the directory ends within
// 10 s: changeBound for the change, undoBound to put back what a rename began.
const (
	changeBound = 8 * time.Second
	undoBound   = 2 * time.Second
)

// Update changes one record and shows the result. It ends within 8 s, or with
// ctx. Changes of one image run one after the other, and after a rename of it
// (FinishBefore). Its place among images of one name is not the caller's to change.
func (c *Catalog) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, changeBound)
	defer cancel()
	if err := c.FinishBefore(ctx, id); err != nil && !(image.Is(err, image.Stale) && c.knows(id)) { // whatever it is called
		return image.Image{}, err
	}
	return c.updateInPlace(ctx, id, changes)
}

// knows reports whether the root shows the image, as far as is known.
func (c *Catalog) knows(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir.get(id) != nil
}

// Remove has the image deleted, or hidden, and shows that it is gone, after a rename of
// it (FinishBefore). It ends within 8 s, or with ctx, but for a look of 2 s. NotFound
// means that it was gone already.
func (c *Catalog) Remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeBound)
	defer cancel()
	if err := c.FinishBefore(ctx, id); err != nil {
		return err
	}
	return c.remove(ctx, id, "")
}

// updateInPlace is Update without a bound of its own. The bases are entries that the
// change may give to the image.
func (c *Catalog) updateInPlace(ctx context.Context, id string, changes []image.Change, bases ...string) (image.Image, error) {
	if err := c.serial.enter(ctx, id); err != nil {
		return image.Image{}, wrap("update", id, err)
	}
	defer c.serial.leave(id)
	return c.send(ctx, id, c.keepPlace(id, changes), bases...)
}

// update is updateInPlace where the place may be among what is changed.
func (c *Catalog) update(ctx context.Context, id string, changes []image.Change, bases ...string) (image.Image, error) {
	if err := c.serial.enter(ctx, id); err != nil {
		return image.Image{}, wrap("update", id, err)
	}
	defer c.serial.leave(id)
	return c.send(ctx, id, changes, bases...)
}

// send has the record changed, and shows the result. The caller has the image's turn.
func (c *Catalog) send(ctx context.Context, id string, changes []image.Change, bases ...string) (image.Image, error) {
	img, err := c.records.Update(ctx, id, changes)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refusedChange(id, err, bases...)
		return image.Image{}, wrap("update", id, err)
	}
	c.putLocked(img)
	return img, nil
}

// keepPlace returns the changes with the place of the image among those of its name as
// it is known here: who sets other attributes may have looked at it before it had that.
// The caller has the image's turn, so that every earlier change of it is known.
func (c *Catalog) keepPlace(id string, changes []image.Change) []image.Change {
	at := slices.IndexFunc(changes, func(change image.Change) bool { return change.Property && change.Field == image.PropertyAttributes })
	if at < 0 {
		return changes
	}
	text, set := changes[at].Value.(string)
	a := image.Image{ID: id, Properties: map[string]string{image.PropertyAttributes: text}}.Attributes()
	c.mu.Lock()
	r := c.dir.get(id)
	if r != nil {
		a.Created = r.packed().Attributes().Created
	}
	c.mu.Unlock()
	if r == nil || !set {
		return changes
	}
	changes = slices.Clone(changes)
	changes[at].Value = a.Encode(id)
	return changes
}

// remove is Remove without a bound of its own; by takes the image's place.
func (c *Catalog) remove(ctx context.Context, id, by string) error {
	if err := c.serial.enter(ctx, id); err != nil {
		return wrap("delete", id, err)
	}
	defer c.serial.leave(id)
	err := c.remover.Remove(ctx, id, by)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refusedChange(id, err)
		return wrap("delete", id, err)
	}
	c.retiredLocked(id)
	return nil
}

// refusedChange draws what can be learned from a failed change. The caller holds
// mu.
func (c *Catalog) refusedChange(id string, err error, bases ...string) {
	switch {
	case image.Is(err, image.NotFound): // deleted by others, or replaced: the next lookup asks who has its name now
		c.doubt(id)
		c.forgetLocked(id)
	case away(err), image.Is(err, image.Interrupted):
		c.doubt(id, bases...)
	}
}
