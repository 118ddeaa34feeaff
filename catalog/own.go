package catalog

import (
	"time"

	"github.com/imagefs/imagefs/image"
)

// ownChange is the last change of one image that this catalog was told of, kept
// while a request is under way that began before it.
type ownChange struct {
	seq uint64
	img *image.Image // nil: gone
}

// begin notes that a request begins now. The caller holds mu, and calls end with
// the result.
func (c *Catalog) begin() since {
	c.seq++
	c.begun[c.seq]++
	return since{at: time.Now(), seq: c.seq}
}

// end forgets the own changes, and what requests found to be gone, that no request under way can contradict. The
// caller holds mu.
func (c *Catalog) end(s since) {
	delete(c.begun, s.seq)
	oldest := c.seq + 1
	for seq := range c.begun {
		oldest = min(oldest, seq)
	}
	for id, change := range c.own {
		if change.seq < oldest {
			delete(c.own, id)
		}
	}
	for id, seq := range c.left {
		if seq < oldest {
			delete(c.left, id)
		}
	}
}

// changedSince reports whether this catalog was told of a change of the image
// after s. The caller holds mu.
func (c *Catalog) changedSince(id string, s since) bool {
	change, ok := c.own[id]
	return ok && change.seq > s.seq
}

// Put makes img the newest known record of its image: an own change that has
// happened. It shows at once.
func (c *Catalog) Put(img image.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(img)
}

// Forget takes an image away that is known to be gone.
func (c *Catalog) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(id)
}

// Gone takes an image away that the service has just called gone, without any
// doing of ours: others have deleted or replaced it. The next lookup of its entry
// asks the service who has the name now, and OnChange tells of the entry.
func (c *Catalog) Gone(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt(id)
	if r := c.dir.get(id); r != nil {
		c.notify.add(map[string]bool{r.entry(): true})
	}
	c.forgetLocked(id)
}

// Doubt asks the service for the images of the name of one about which the directory may be
// wrong, and waits for nothing; who looks it up from now on waits for an answer from after
// this. Of one whose name is cut for its entry the next listing tells.
func (c *Catalog) Doubt(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	base := EntryName(name, id)
	c.doubt("", base)
	if _, err := ImageName(base); err == nil {
		c.askGroup(base)
	}
}

func (c *Catalog) putLocked(img image.Image) {
	c.change(img.ID, &img)
}

func (c *Catalog) forgetLocked(id string) {
	c.change(id, nil)
}

// retiredLocked takes an image away that was removed or replaced. Whether it is
// deleted or only hidden the service says, if somebody asks for it by its id.
func (c *Catalog) retiredLocked(id string) {
	c.forgetLocked(id)
	c.single.Remove(id)
}

// change applies one own change. The kernel knows of it at the image's own
// entries; others that move because of it are told.
func (c *Catalog) change(id string, img *image.Image) {
	c.seq++
	if len(c.begun) > 0 {
		c.own[id] = ownChange{seq: c.seq, img: img}
	}
	c.single.Add(id, lookedUp{img: img, since: since{at: time.Now(), seq: c.seq}})
	touched := map[string]bool{}
	before := c.dir.get(id)
	var direct [2]string
	if before != nil {
		direct[0] = before.entry()
	}
	if img != nil {
		c.dir.put(*img, touched)
	} else {
		c.dir.remove(id, touched)
	}
	if after := c.dir.get(id); after != nil {
		after.seen, direct[1] = c.seq, after.entry()
	}
	c.stale.add(touched)
	delete(touched, direct[0])
	delete(touched, direct[1])
	if img != nil && c.dir.get(id) == nil {
		// It is there, and the root does not show it any more. The kernel may have it at
		// the entry that it had, and at the one that it was renamed to.
		touched[EntryName(img.Name, id)] = true
		if before != nil {
			touched[direct[0]] = true
		}
	}
	c.notify.add(touched)
}

// doubt makes the next lookup of the entries' groups ask the service: a change
// was tried and nobody knows whether it happened. The caller holds mu.
func (c *Catalog) doubt(id string, bases ...string) {
	c.seq++
	if r := c.dir.get(id); r != nil {
		bases = append(bases, r.base())
	}
	for _, base := range bases {
		c.known.Add(base, since{seq: c.seq})
	}
	c.single.Remove(id)
}
