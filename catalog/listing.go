package catalog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// tooOld is after how many TTLs a listing is no longer shown while a new one is
// made: then List waits.
const tooOld = 10

// refreshBound ends a refresh that no longer makes sense: 100,000 images take a
// real service about 45 s, and who makes no progress is ended by the client.
const refreshBound = 10 * time.Minute

// List returns everything the root shows, by name. It makes no request while the
// listing is younger than the TTL; then the known one is returned and a refresh
// begins, unless it is older than ten times the TTL: then List waits for the
// refresh, with ctx. While the service does not answer the last listing is
// returned, whatever its age. The slice is shared: callers must not change it.
func (c *Catalog) List(ctx context.Context) ([]Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.listLocked(ctx, "list", false); err != nil {
		return nil, err
	}
	if c.shown == nil {
		c.shown = c.entries()
	}
	return c.shown, nil
}

// IDs returns all images of the listing by id, for the directory of ids. It is
// as old as what List returns. The slice is shared: callers must not change it.
func (c *Catalog) IDs(ctx context.Context) ([]image.Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.listLocked(ctx, "list ids", false); err != nil {
		return nil, err
	}
	if c.ids == nil {
		c.ids = make([]image.Image, 0, len(c.dir.byID))
		for _, r := range c.dir.byID {
			c.ids = append(c.ids, r.img)
		}
		slices.SortFunc(c.ids, func(a, b image.Image) int { return cmp.Compare(a.ID, b.ID) })
	}
	return c.ids, nil
}

// entries lays the drafts over the images. The caller holds mu.
func (c *Catalog) entries() []Entry {
	list := make([]Entry, 0, len(c.dir.entries)+len(c.drafts))
	for name, r := range c.dir.entries {
		e := Entry{Name: name, Image: r.img}
		if o := c.drafts[name]; o != nil {
			e.Draft = o.draft
		}
		list = append(list, e)
	}
	for name, o := range c.drafts {
		if c.dir.entries[name] == nil {
			list = append(list, Entry{Name: name, Draft: o.draft})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

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
		err := c.lister.ListImages(ctx, nil, func(page []image.Image) error {
			images = append(images, page...)
			return ctx.Err()
		})
		var dir *directory
		if err == nil {
			dir = build(c.project, images)
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
		for _, r := range c.dir.groups[base] {
			other := dir.byID[r.img.ID]
			if c.changedSince(r.img.ID, began) || other != nil && !r.img.UpdatedAt.After(other.img.UpdatedAt) {
				continue
			}
			dir.put(r.img, nil)
		}
	}
	return newer
}

// differences returns the entries of old that stand for another image, another
// state of it, or nothing in now.
func differences(old, now *directory) map[string]bool {
	changed := map[string]bool{}
	for entry, was := range old.entries {
		if is := now.entries[entry]; is == nil || !sameState(&was.img, &is.img) {
			changed[entry] = true
		}
	}
	return changed
}

// sameState reports whether two records are of one image and nothing that the
// kernel remembers of it moved. The service moves updated_at at every edit; the
// rest is for two edits in one second.
func sameState(a, b *image.Image) bool {
	return a.ID == b.ID && a.UpdatedAt.Equal(b.UpdatedAt) && a.Status == b.Status && a.Size == b.Size &&
		a.Protected == b.Protected && a.Visibility == b.Visibility && a.Owner == b.Owner &&
		a.Properties[image.PropertyAttributes] == b.Properties[image.PropertyAttributes]
}
