package catalog

import (
	"log/slog"

	"github.com/imagefs/imagefs/image"
)

// overlay is one draft at its entry.
type overlay struct {
	entry   string
	draft   Draft
	unshown bool // it became an image that the filter does not show
}

// AddDraft shows the draft at the entry, over the image there if there is one.
// The error is of kind Exists while another draft is there. A draft that is
// elsewhere already moves.
func (c *Catalog) AddDraft(entry string, d Draft) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.drafts[entry]; o != nil && o.draft.ID() != d.ID() {
		return &image.Error{Op: "add draft", Image: entry, Kind: image.Exists, Detail: "another draft is there"}
	}
	c.place(entry, d)
	return nil
}

// MoveDraft shows the draft at another entry. Another draft that is there no
// longer shows, as rename(2) has it; what becomes of it is the caller's business.
func (c *Catalog) MoveDraft(d Draft, entry string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.drafts[entry]; o != nil {
		c.lift(o.draft.ID())
	}
	c.place(entry, d)
}

// RemoveDraft takes the draft away; nothing happens when it is not shown.
func (c *Catalog) RemoveDraft(d Draft) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lift(d.ID())
}

// Committed says that a draft, named by its id, became img, and that retired ("":
// none) is gone: in one moment img takes its entry and retired leaves. The draft
// goes on lying there, now over img, until RemoveDraft: it may be written on, and
// whoever looks its entry up in between must find the one that is open. Where
// img shows after that, its name decides, as for every image.
// One that the filter does not show goes with the draft.
func (c *Catalog) Committed(id string, img image.Image, retired string) {
	c.mu.Lock()
	if retired != "" && retired != img.ID {
		c.retiredLocked(retired)
	}
	c.putLocked(img)
	shown := c.dir.get(img.ID) != nil
	if o := c.placed[id]; o != nil {
		o.unshown = !shown
	}
	c.mu.Unlock()
	if !shown {
		c.log.Warn("the new image does not show: the mount's options choose others; it is in "+ByIDEntry,
			slog.String("image", img.ID), slog.String("name", img.Name))
	}
}

func (c *Catalog) place(entry string, d Draft) {
	c.lift(d.ID())
	o := &overlay{entry: entry, draft: d}
	c.drafts[entry], c.placed[d.ID()] = o, o
	c.stale.drafts = true
}

func (c *Catalog) lift(id string) {
	o := c.placed[id]
	if o == nil {
		return
	}
	delete(c.placed, id)
	delete(c.drafts, o.entry)
	if o.unshown && c.dir.at(o.entry) == nil { // the kernel knows the file that was open there
		c.notify.add(map[string]bool{o.entry: true})
	}
	c.stale.drafts = true
}
