package catalog

import "github.com/imagefs/imagefs/image"

// take makes a record known that a request has brought, unless what is known began
// later: an own change, or the answer to another request, where the record's own time
// does not tell otherwise. The caller holds mu, and marks the record as seen.
func (c *Catalog) take(img image.Image, began since, touched map[string]bool) {
	if img.UpdatedAt.After(c.newest) {
		c.newest = img.UpdatedAt
	}
	if c.changedSince(img.ID, began) || c.leftSince(img.ID, began) {
		return
	}
	base := ""
	if r := c.dir.get(img.ID); r != nil {
		if c.knownSince(r, began) && !img.UpdatedAt.After(r.packed().UpdatedAt()) {
			return
		}
		base = r.base()
	}
	c.put(img, began, touched)
	// A lookup that began later has not found it under this name: the next one asks.
	if r := c.dir.get(img.ID); r != nil && r.base() != base {
		if s, ok := c.known.Peek(r.base()); ok && s.seq > began.seq {
			c.seq++
			c.known.Add(r.base(), since{seq: c.seq})
		}
	}
}

// put makes img the known record. The caller holds mu.
func (c *Catalog) put(img image.Image, began since, touched map[string]bool) {
	there := c.dir.get(img.ID) != nil
	if c.dir.put(img, touched); there && c.dir.get(img.ID) == nil {
		c.noteLeft(img.ID, began)
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
