package catalog

import (
	"context"
	"time"

	"github.com/imagefs/imagefs/image"
)

// tooOld is after how many TTLs a listing is no longer shown while a new one is
// made: then List waits.
const tooOld = 10

// refreshBound ends a refresh that no longer makes sense: 100,000 images take a
// real service about 45 s, and who makes no progress is ended by the client.
const refreshBound = 10 * time.Minute

// listLocked makes dir a listing that may be shown; fresh asks for one younger
// than the TTL. The caller holds mu, which is let go while waiting.
func (c *Catalog) listLocked(ctx context.Context, op string, fresh bool) error {
	age := time.Since(c.listed.at)
	if c.complete() && age < c.ttl {
		return nil
	}
	if c.believed() {
		c.probe()
		return nil
	}
	if c.complete() && !fresh && age < tooOld*c.ttl && !c.refused {
		// A listing that takes longer than the TTL is never young; half of the
		// time spent on refreshes is the most that this may cost.
		if age-c.took >= c.took {
			c.refresh()
		}
		return nil
	}
	r := c.refresh()
	c.mu.Unlock()
	err := c.wait(ctx, r)
	c.mu.Lock()
	if err != nil && c.believed() && ctx.Err() == nil {
		return nil
	}
	return wrap(op, "", err)
}

// refresh joins or begins the refresh. The caller holds mu.
func (c *Catalog) refresh() *request {
	if c.listing != nil {
		return c.listing
	}
	r := &request{done: make(chan struct{})}
	c.listing = r
	began := c.begin()
	c.counts.refreshes++
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, refreshBound)
		defer cancel()
		var images []image.Image
		err := c.lister.ListImages(ctx, Query{}, func(page []image.Image) error {
			images = append(images, page...)
			return ctx.Err()
		})
		var dir *directory
		if err == nil {
			dir = build(c.project, c.filter, images)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.answered()
			c.adopt(dir, began)
		} else {
			c.failed(err)
		}
		c.end(began)
		c.listing = nil
		r.err = err
		close(r.done)
	})
	return r
}

// adopt makes a new complete listing what is known. The caller holds mu.
func (c *Catalog) adopt(dir *directory, began since) {
	for id, change := range c.own {
		switch {
		case change.seq <= began.seq:
		case change.img == nil:
			dir.remove(id, nil)
		default:
			dir.put(*change.img, nil)
		}
	}
	newer := c.newerGroups(dir, began)
	c.notify.add(differences(c.dir, dir))
	// The groups are known by the listing now. Purge would evict, and evicting
	// is for a directory that is not complete.
	c.dir, c.listed, c.took = dir, began, time.Since(began.at)
	c.known.Purge()
	for base, s := range newer {
		c.known.Add(base, s)
	}
	c.stale()
}

// newerGroups carries over what lookups learned after the refresh began: the
// page that would hold it may have been read before. It returns those groups.
func (c *Catalog) newerGroups(dir *directory, began since) map[string]since {
	newer := map[string]since{}
	for _, base := range c.known.Keys() {
		s, _ := c.known.Peek(base)
		if s.seq <= began.seq {
			continue
		}
		newer[base] = s
		for _, r := range c.dir.group(base) {
			other := dir.get(r.id())
			if c.changedSince(r.id(), began) || other != nil && !r.image().UpdatedAt.After(other.image().UpdatedAt) {
				continue
			}
			dir.put(r.image(), nil)
		}
	}
	return newer
}

// differences returns the entries of old that stand for another image, another
// state of it, or nothing in now.
func differences(old, now *directory) map[string]bool {
	changed := map[string]bool{}
	for was := range old.all() {
		if is := now.at(was.entry()); is == nil || !sameState(was.image(), is.image()) {
			changed[was.entry()] = true
		}
	}
	return changed
}

// sameState reports whether two records are of one image and nothing that the
// kernel remembers of it moved. The service moves updated_at at every edit; the
// rest is for two edits in one second.
func sameState(a, b image.Image) bool {
	return a.ID == b.ID && a.UpdatedAt.Equal(b.UpdatedAt) && a.Status == b.Status && a.Size == b.Size &&
		a.Protected == b.Protected && a.Visibility == b.Visibility && a.Owner == b.Owner &&
		a.Properties[image.PropertyAttributes] == b.Properties[image.PropertyAttributes]
}
