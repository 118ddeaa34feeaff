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
		if c.knownSince(r, began) && !img.UpdatedAt.After(r.image().UpdatedAt) {
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

// put makes img the known record, and adds to touched also the image's entry where
// what the kernel remembers of it has changed. The caller holds mu.
func (c *Catalog) put(img image.Image, began since, touched map[string]bool) {
	r := c.dir.get(img.ID)
	if r == nil {
		c.dir.put(img, touched)
		return
	}
	was, entry := r.image(), r.entry()
	c.dir.put(img, touched)
	switch r = c.dir.get(img.ID); {
	case r == nil:
		c.noteLeft(img.ID, began)
	case r.entry() == entry && !sameState(was, img):
		touched[entry] = true
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
	if len(touched) > 0 {
		c.stale()
		c.notify.add(touched)
	}
}

// sameState reports whether two records are of one image and nothing that the
// kernel remembers of it moved. The service moves updated_at at every edit; the
// rest is for two edits in one second.
func sameState(a, b image.Image) bool {
	return a.ID == b.ID && a.UpdatedAt.Equal(b.UpdatedAt) && a.Status == b.Status && a.Size == b.Size &&
		a.Protected == b.Protected && a.Visibility == b.Visibility && a.Owner == b.Owner &&
		a.Properties[image.PropertyAttributes] == b.Properties[image.PropertyAttributes]
}
