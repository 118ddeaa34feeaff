package staging

import (
	"os"
	"syscall"

	"github.com/imagefs/imagefs/image"
)

// Update lets change alter a copy of the record and journals that: when Update
// returns nil the new state is on disk, on an error the draft has its old record
// (the disk has either). Draft, Service, Project, Base, Size and the like cannot
// be changed so; what Attributes point to must be replaced, not altered. change
// runs once and must not call Update, Rename, Rebase or Unlink of this draft.
//
// An unlinked draft that no commit had begun has no journal any more: it takes
// the change in memory, except for an image id (kind NotFound).
func (d *Draft) Update(change func(*Record)) error {
	name, closed := d.nameClosed()
	if closed {
		return fail("journal draft", name, os.ErrClosed)
	}
	return fail("journal draft", name, d.rewrite(func(r *Record) bool { change(r); return true }, nil))
}

// rewrite is Update also for a draft that is closing. change reports whether the
// journal must be written. done is what was fsynced just before, nil for nothing.
func (d *Draft) rewrite(change func(*Record) bool, done *synced) error {
	d.journal.Lock()
	defer d.journal.Unlock()
	was := d.Record()
	j := journal{Record: was}
	j.Closed = false // unless change ends the draft
	if !change(&j.Record) {
		return nil
	}
	if j.State != was.State {
		j.Removing = "" // the removal was refused; from here on a commit may delete that image itself
	}
	d.mu.Lock()
	// A Sync that was overtaken must not take extents out of the journal again.
	now := done
	if now == nil || now.changes < d.journaled {
		now = d.layerLocked()
	}
	j.Synced = d.touches == d.fsynced && d.lost == nil
	j.Uncertain = j.Uncertain || d.lost != nil || d.closed && d.refused.err() != nil
	j.Unlinked, j.Base, j.Size = d.unlinked, was.Base, d.size
	d.mu.Unlock()

	j.layer = now.layer
	j.Version, j.Draft, j.CreatedAt = was.Version, was.Draft, was.CreatedAt
	j.Service, j.Project, j.Cloud = was.Service, was.Project, was.Cloud
	j.Boot, j.UpdatedAt = d.store.boot, d.store.clock().UTC()
	j.Reason = oneLine(j.Reason)
	if d.removed && j.Image != "" {
		return &image.Error{Op: "journal draft", Image: j.Name, Kind: image.NotFound, Detail: "it was unlinked"}
	}
	if !d.removed {
		if err := writeJournal(d.store.disk, &j); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rec = j.Record
	if j.Attributes.ModTime != was.Attributes.ModTime { // set anew, perhaps to the same value as before
		d.staleMod = nil
	}
	d.journaled = now.changes
	return nil
}

// synced is a copy of the layer, with the count as of its making.
type synced struct {
	layer
	changes uint64
}

func (d *Draft) layerLocked() *synced {
	s := &synced{changes: d.changes}
	if d.layered {
		s.layer = layer{limit: d.layer.limit, ext: d.layer.ext.clone()}
	}
	return s
}

// Removing journals that the image with the id is about to be deleted because the
// draft's entry is removed, "" that it was not.
func (d *Draft) Removing(id string) error {
	return d.Update(func(r *Record) { r.Removing = id })
}

// Rename gives an open draft another name and entry and, where over is given,
// another image to retire and to inherit from when it is committed; the journal
// has them on return.
func (d *Draft) Rename(name, entry string, over *image.Image) error {
	return d.RenameOver(name, entry, over, true, "")
}

// RenameOver is Rename where another draft, which the caller unlinks next, had the
// entry until now. Should the process end in between, the next Open unlinks it: else
// the commits of both would make two images of one name. inherit is false where the draft
// goes on to inherit from what it did, though that is gone.
func (d *Draft) RenameOver(name, entry string, over *image.Image, inherit bool, draft string) error {
	return d.Update(func(r *Record) {
		r.Name, r.Entry, r.Supersedes, r.Removing = name, entry, draft, "" // it has outlived a removal that was not answered
		if over != nil {
			r.Replaces = over.ID
		}
		if over != nil && inherit {
			r.Inherit, r.Inherited, r.Members = over.ID, over, nil
		}
	})
}

// Rebase tells the draft that a commit made img of it: what lies under the
// extents is img from here on, read through base, and the next commit retires
// and inherits from img. The old Base is closed, by the last read of it. A new
// draft has all its bytes itself: it closes base (which may be nil then, as where
// nothing of a base shows any more) and only notes img. Called while the commit's Snapshot is open or before anything
// changed since, it journals StateCommitted. An error is the journal's: the
// draft has the new base all the same.
func (d *Draft) Rebase(base Base, img image.Image) error {
	drop := holdBase(base)
	var err error
	d.mu.Lock()
	name := d.rec.Name
	switch {
	case d.closed:
		err = os.ErrClosed
	case base == nil && d.layer.limit > 0:
		err = syscall.EINVAL
	default:
		d.rec.Inherited = &img // also where the journal cannot have it
		if d.layered {         // base may be nil: then nothing of it is ever read
			drop, d.base, d.over = d.base, drop, img
		}
	}
	d.mu.Unlock()
	if err == nil {
		err = d.rewrite(func(r *Record) bool {
			r.Replaces, r.Inherit, r.Inherited, r.Into, r.Filling, r.Reason = img.ID, img.ID, &img, "", false, ""
			r.Members = nil
			r.Settings, r.Given = image.Settings{}, image.Settings{} // the image has them: what others change from here on is not to be changed back
			if d.layered {
				r.BaseVersion = versionOf(img)
			}
			if d.settled(r.State) {
				r.State, r.Image, r.Accepted = StateCommitted, img.ID, false
			}
			return true
		}, nil)
	}
	d.drop(drop)
	return fail("rebase draft", name, err)
}

// Renew puts another reader of the same image under a draft that lies over one. The old
// Base is closed, by the last read of it; base, where the draft has none or has ended.
func (d *Draft) Renew(base Base) {
	drop := holdBase(base)
	d.mu.Lock()
	if d.layered && !d.closed {
		drop, d.base = d.base, drop
	}
	d.mu.Unlock()
	d.drop(drop)
}

// settled reports whether nothing changed since the commit that has just ended
// or is about to. Without a Snapshot a writer may be at work: it has journaled
// StateOpen, or will after what is journaled now.
func (d *Draft) settled(s State) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen || !d.dirty && s != StateOpen
}

// drop lets go of a base. That its closing failed loses nothing.
func (d *Draft) drop(base *heldBase) {
	if err := base.release(); err != nil {
		d.store.log.Warn("the base image of a draft could not be closed", "draft", d.id, "error", err)
	}
}
