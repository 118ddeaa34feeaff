package catalog

import (
	"context"
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/image"
)

// beginDelta joins or begins the request for what was changed since the last refresh:
// images that were made, renamed, edited or hidden. It does not show which were
// deleted or are no longer shared. There is a complete listing, and the caller holds
// mu.
func (c *Catalog) beginDelta() *request {
	if c.delta != nil {
		return c.delta
	}
	r := &request{done: make(chan struct{})}
	began, from := c.begin(), c.bound
	c.delta, c.asked = r, began.at
	c.counts.deltas++
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, refreshBound)
		defer cancel()
		crowded := map[string]bool{}
		whole, err := c.lister.ListImages(ctx, Query{UpdatedSince: from}, func(page []image.Image) error {
			c.takeChanges(page, began, crowded)
			return ctx.Err()
		})
		if err == nil {
			c.askCrowded(ctx, crowded)
		}
		c.endDelta(ctx, r, began, whole, err)
	})
	return r
}

// takeChanges adds the names that got another image and had one before to crowded.
func (c *Catalog) takeChanges(page []image.Image, began since, crowded map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	touched := map[string]bool{}
	for _, img := range page {
		base := ""
		if r := c.dir.get(img.ID); r != nil {
			base = r.base()
		}
		r := c.take(img, began, touched)
		r.mark(began)
		if r != nil && r.base() != base && len(c.dir.group(r.base())) > 1 && len(crowded) < maxCrowded {
			crowded[r.base()] = true
		}
	}
	c.tell(touched)
}

// askCrowded looks names up that have got another image: most often that has replaced
// the one before, whose deletion does not show.
func (c *Catalog) askCrowded(ctx context.Context, crowded map[string]bool) {
	for base := range crowded {
		c.mu.Lock()
		r := c.askGroup(base)
		c.mu.Unlock()
		if c.wait(ctx, r) != nil {
			return // the pass finds out
		}
	}
}

// deltaless reports whether the service has lately refused to tell what was changed. The
// caller holds mu.
func (c *Catalog) deltaless() bool {
	return !c.refusedAt.IsZero() && time.Since(c.refusedAt) < deltaAgain
}

func (c *Catalog) endDelta(ctx context.Context, r *request, began since, whole bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deltaTook = time.Since(began.at)
	switch {
	case err == nil:
		c.answered()
		c.partial = c.partial || !whole
		c.refreshed(began, c.deltaTook)
		c.refusedAt = time.Time{}
	case !away(err) && ctx.Err() == nil: // what it does not tell of changes says nothing of the listing
		if c.refusedAt.IsZero() {
			c.log.Warn("the Image service does not tell what was changed; its whole listing is read each time instead", slog.Any("error", err))
		}
		c.counts.failures++
		c.recovered()
		c.refusedAt, r.unclear, err = time.Now(), true, nil
	default:
		c.failed(err)
	}
	c.end(began)
	c.delta = nil
	r.err = err
	close(r.done)
}
