package catalog

import (
	"context"
	"math/rand/v2"

	"github.com/imagefs/imagefs/image"
)

// maxUnseen is how many images that a pass has not seen are asked for before they leave:
// each costs a request, and those that are left wait for the next pass, which asks for
// others.
const maxUnseen = 100

// wanders reports whether an image may go past a pass that reads what the service lists
// with the filter: from a listing that is still to come to one that was read, or out of
// the filter and back, by what happens to it every day.
func wanders(f image.Filter) bool { return f.Hidden || len(f.Statuses) > 0 }

// askUnseen asks for the images that a pass has not seen, where it may have missed them.
// An answer that is neither a record nor that none is to be seen says nothing of that image: then the pass is not whole. An
// error means that the service did not answer.
func (c *Catalog) askUnseen(ctx context.Context, p *pass, whole bool) (bool, error) {
	if whole && !wanders(c.filter) {
		return whole, nil
	}
	c.mu.Lock()
	unseen := c.unseen(p.began.seq)
	c.mu.Unlock()
	rand.Shuffle(len(unseen), func(i, j int) { unseen[i], unseen[j] = unseen[j], unseen[i] })
	for _, id := range unseen[:min(len(unseen), maxUnseen)] {
		told := false
		err := c.askFor(ctx, id, func(img image.Image, err error, began since) {
			if told = err == nil || image.Is(err, image.NotFound) || image.Is(err, image.Forbidden); told {
				c.askedUnseen(id, img, err, began)
			}
		})
		switch {
		case told:
		case image.Is(err, image.UnexpectedAnswer), !away(err) && ctx.Err() == nil:
			whole = false
		default:
			return false, err
		}
	}
	return whole, nil
}

// unseen returns the images that nothing has brought since. The caller holds mu.
func (c *Catalog) unseen(seq uint64) []string {
	var ids []string
	for r := range c.dir.all() {
		if r.seen < seq {
			ids = append(ids, r.id())
		}
	}
	return ids
}

// askedUnseen takes the service's answer, or refusal. What others share or publish to
// all projects may have left the listing all the same: that is for the next pass. The
// caller holds mu.
func (c *Catalog) askedUnseen(id string, img image.Image, err error, began since) {
	touched := map[string]bool{}
	switch {
	case err != nil:
		c.leave(id, began, touched)
	default:
		r := c.take(img, began, touched)
		if surelyListed(img, c.project) {
			r.mark(began)
		}
	}
	c.tell(touched)
}

// surelyListed reports whether who sees an image by its id has it in the listing, too, as
// far as the filter shows it: of others' shares and community images the record does not
// say so.
func surelyListed(img image.Image, project string) bool {
	return img.Visibility == image.VisibilityPublic || img.Visibility == image.VisibilityPrivate ||
		project != "" && img.Owner == project
}

// askFor asks for one image, and hands learn what came, with mu held.
func (c *Catalog) askFor(ctx context.Context, id string, learn func(img image.Image, err error, began since)) error {
	c.mu.Lock()
	began := c.begin()
	c.counts.lookups++
	c.mu.Unlock()
	img, err := c.records.Get(ctx, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	learn(img, err, began)
	c.end(began)
	return err
}
