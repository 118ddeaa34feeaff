package catalog

import (
	"context"

	"github.com/imagefs/imagefs/image"
)

// lookedUp is what is known of one record, apart from the listing.
type lookedUp struct {
	img   *image.Image // nil: there is none
	since since
}

// ByID returns any image that the credentials can see, also one that the root
// does not show. It costs a request unless the record is known and younger than
// the TTL (its absence: a second). The error is of kind NotFound, or says why
// nobody knows; while the service is away the last listing answers.
func (c *Catalog) ByID(ctx context.Context, id string) (image.Image, error) {
	if !isUUID(id) {
		return image.Image{}, notFound("lookup by id", id)
	}
	bounded, cancel := context.WithTimeout(ctx, lookupBound)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if img, found, ok := c.singleKnown(id); ok {
		if !found {
			return image.Image{}, notFound("lookup by id", id)
		}
		return img, nil
	}
	if r := c.dir.get(id); r != nil && c.believed() {
		c.probe()
		return r.image(), nil
	}
	began := c.begin()
	c.counts.lookups++
	c.mu.Unlock()
	img, err := c.records.Get(bounded, id)
	c.mu.Lock()
	defer c.end(began)
	if err != nil && away(err) && ctx.Err() == nil { // what one record is refused says nothing of the service
		c.failed(err)
	}
	return c.learn(id, img, err, began)
}

// Fresh asks the service for a record, whatever is known: before something is done to
// an image that was looked up long ago. The error is of kind NotFound where it is gone
// or lies in the trash, or says why nobody knows.
func (c *Catalog) Fresh(ctx context.Context, id string) (image.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupBound)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	began := c.begin()
	defer c.end(began)
	c.counts.lookups++
	c.mu.Unlock()
	img, err := c.records.Get(ctx, id)
	c.mu.Lock()
	if err != nil && !image.Is(err, image.NotFound) {
		return image.Image{}, wrap("look", id, err)
	}
	img, err = c.learn(id, img, err, began)
	if _, trashed := img.Trashed(); err == nil && trashed {
		return image.Image{}, notFound("look", id)
	}
	return img, err
}

// singleKnown answers from memory. The caller holds mu.
func (c *Catalog) singleKnown(id string) (img image.Image, found, ok bool) {
	if s, in := c.single.Get(id); in && s.since.seq > c.listed.seq {
		switch {
		case s.img == nil:
			return image.Image{}, false, c.young(s.since, min(c.ttl, negativeTTL))
		case c.young(s.since, c.ttl):
			return *s.img, true, true
		default:
			return image.Image{}, false, false
		}
	}
	if r := c.dir.get(id); r != nil && c.fresh(r.base()) {
		return r.image(), true, true
	}
	return image.Image{}, false, false
}

// learn takes the service's answer about one record. An own change made after
// the request began is newer. The caller holds mu.
func (c *Catalog) learn(id string, img image.Image, err error, began since) (image.Image, error) {
	gone := image.Is(err, image.NotFound) || err == nil && (img.Status == image.StatusDeleted || img.ID != id)
	if err != nil && !gone {
		if r := c.dir.get(id); r != nil && c.believed() {
			return r.image(), nil
		}
		return image.Image{}, wrap("lookup by id", id, err)
	}
	c.answered()
	if change, ok := c.own[id]; ok && change.seq > began.seq {
		if change.img == nil {
			return image.Image{}, notFound("lookup by id", id)
		}
		return *change.img, nil
	}
	known := lookedUp{since: began}
	if !gone {
		known.img = &img
	}
	c.single.Add(id, known)
	// Of others' images only a listing tells whether the root lists them.
	if c.dir.get(id) != nil || !gone && c.complete() && surelyListed(img, c.project) {
		touched := map[string]bool{}
		if gone {
			c.leave(id, began, touched)
		} else {
			c.take(img, began, touched)
		}
		c.tell(touched)
	}
	if gone {
		return image.Image{}, notFound("lookup by id", id)
	}
	return img, nil
}

// Known returns what is known of an image that the root shows, without a request; nothing
// where it is not known.
func (c *Catalog) Known(id string) Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.dir.get(id)
	if r == nil {
		return Entry{}
	}
	return Entry{Name: r.entry(), Image: r.packed()}
}
