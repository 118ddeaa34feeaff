package catalog

import "github.com/imagefs/imagefs/image"

// take makes a record known that a request has brought, unless what is known began
// later: an own change, or the answer to another request, where the record's own time
// does not tell otherwise. It returns what is known of the image then, nil where the
// root does not show it. The caller holds mu, and marks what is returned as seen.
func (c *Catalog) take(img image.Image, began since, touched map[string]bool) *record {
	if img.UpdatedAt.After(c.newest) {
		c.newest = img.UpdatedAt
	}
	r, base := c.dir.get(img.ID), ""
	if c.changedSince(img.ID, began) || c.leftSince(img.ID, began) {
		return r
	}
	if r != nil {
		if c.knownSince(r, began) && !img.UpdatedAt.After(r.packed().UpdatedAt()) {
			return r
		}
		base = r.base()
	}
	if !c.dir.put(img, touched) {
		return r
	}
	now := c.dir.get(img.ID)
	switch {
	case now == nil:
		if r != nil {
			c.noteLeft(img.ID, began)
		}
	case now.base() != base: // did a lookup that began later not find it under this name? Then the next one asks
		if s, ok := c.known.Peek(now.base()); ok && s.seq > began.seq {
			c.seq++
			c.known.Add(now.base(), since{seq: c.seq})
		}
	}
	return now
}

// mark notes which request has seen a record.
func (r *record) mark(began since) {
	if r != nil {
		r.seen = max(r.seen, began.seq)
	}
}

// leave takes an image away that a request has found to be gone from the listing. The
// caller holds mu.
func (c *Catalog) leave(id string, began since, touched map[string]bool) {
	c.dir.remove(id, touched)
	c.noteLeft(id, began)
}

// noteLeft keeps requests that began before from bringing an image back. The caller
// holds mu.
func (c *Catalog) noteLeft(id string, began since) {
	if len(c.begun) > 1 { // not only the one that has found out
		c.left[id] = max(c.left[id], began.seq)
	}
}

func (c *Catalog) leftSince(id string, s since) bool { return c.left[id] > s.seq }

// knownSince reports whether a record was brought by what began after s. The caller
// holds mu.
func (c *Catalog) knownSince(r *record, s since) bool {
	if r.seen > s.seq {
		return true
	}
	alone, ok := c.single.Peek(r.id())
	return ok && alone.since.seq > s.seq
}

// tell drops what was derived from the touched entries, here and in the kernel. The
// caller holds mu.
func (c *Catalog) tell(touched map[string]bool) {
	c.stale.add(touched)
	c.notify.add(touched)
}
