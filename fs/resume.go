package fs

import (
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Owed is a draft of an earlier run whose commit is due. It shows at its entry as
// soon as there is a mount, and is committed behind.
type Owed struct {
	Draft      Draft
	Entry      string
	Name       string       // of the image that it becomes
	Under      *image.Image // the image that its commit replaces or fills, if that is there and has the name; else nil
	Attributes image.Attributes
	Settings   image.Settings
	Since      time.Time // when its close was answered, or began
}

// resume puts a draft of an earlier run into the directory. It is committed in any
// case; where its entry has another draft already, it does not show meanwhile.
func (f *FS) resume(o Owed) *draft {
	d := &draft{fs: f, bytes: o.Draft, entry: o.Entry, name: o.Name, set: o.Attributes, noted: o.Attributes, settings: o.Settings, change: 1, wrote: 1, accepted: 1}
	if err := f.Catalog.AddDraft(o.Entry, o.Draft.ID()); err != nil {
		f.log.Warn("a file of an earlier run is committed, but does not show before: its entry has another draft",
			"entry", o.Entry, "draft", o.Draft.Path(), "error", err)
		o.Under = nil
	}
	if o.Under != nil {
		d.node = f.nodeOf(Entry{Name: o.Entry, Image: image.Pack(*o.Under)})
	}
	f.mu.Lock()
	if d.node == nil {
		d.node = f.newNodeLocked(keyOf(o.Draft.ID()), image.Packed{})
	}
	f.bindLocked(d)
	f.mu.Unlock()
	d.node.draft = d
	return d
}

// begin starts the commits of drafts of earlier runs, once there is a mount.
func begin(drafts []*draft, owed []Owed) {
	for i, d := range drafts {
		d.mu.Lock()
		d.waitLocked(owed[i].Since)
		d.mu.Unlock()
	}
}

// leave leaves the drafts of a mount that could not be as they are.
func leave(owed []Owed, log *slog.Logger) {
	for _, o := range owed {
		if err := o.Draft.Close(); err != nil {
			log.Error("closing a draft failed", "draft", o.Draft.Path(), "error", err)
		}
	}
}
