package staging

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imagefs/imagefs/image"
)

// Spec is what a draft begins with.
type Spec struct {
	Name     string // the image's name
	Entry    string // what the directory shows
	Replaces string // id of the image that the commit retires; "" for none
	// Base, when not nil, makes the draft a copy-on-write one over BaseImage.
	Base      Base
	BaseImage image.Image
	// Inherit is the record whose name, visibility, tags, members and properties
	// the commit carries over; of it only the id is journaled.
	Inherit    *image.Image
	Into       string           // id of an own queued record without data to upload into; "" for none
	Attributes image.Attributes // pending: they go into the create request
}

// Draft is a file being written. Its methods may be called by several goroutines
// at once. It must be ended by Close, Discard or Keep.
type Draft struct {
	store   *Store
	id      string
	file    *os.File
	layered bool // over a base

	gate *semaphore.Weighted // see enter

	journal sync.Mutex // one journal write at a time, guards the fields below; taken before mu
	removed bool       // there is no journal any more: nothing may write one

	mu        sync.Mutex // guards the fields below
	rec       Record     // as journaled; Size, Base and Unlinked are those below
	layer     layer
	changes   uint64 // counts changes of layer
	journaled uint64 // the count that the journal has
	touches   uint64 // counts changes of the bytes or the size
	fsynced   uint64 // the count that the disk has for sure
	size      int64
	dirty     bool
	written   bool
	unlinked  bool
	mod       time.Time  // last change of the bytes
	staleMod  *time.Time // an attribute ModTime that a later write has outdated
	base      *heldBase  // nil: a new draft, or closed
	over      image.Image
	inherit   *image.Image
	frozen    bool // a Snapshot is open
	closed    bool
}

func newDraft(s *Store, f *os.File, j journal, spec Spec) *Draft {
	d := &Draft{
		store: s, id: j.Draft, file: f, layered: j.Base != "", gate: semaphore.NewWeighted(gateWidth),
		rec: j.Record, layer: j.layer, size: j.Size, mod: j.UpdatedAt,
		base: holdBase(spec.Base), over: spec.BaseImage, inherit: spec.Inherit,
	}
	if spec.Base != nil {
		d.mod = spec.BaseImage.CreatedAt
		if set := spec.BaseImage.Attributes().ModTime; set != nil {
			d.mod = *set
		}
	}
	return d
}

// ID is the draft's id, a UUID: the seed of its inode number and the id of the
// image that its first commit creates.
func (d *Draft) ID() string { return d.id }

// Path is the data file. Over a base it holds only what was written.
func (d *Draft) Path() string { return d.store.dataPath(d.id) }

// Size is the draft's length in bytes, live.
func (d *Draft) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

// ModTime is what was set through the mount or, when bytes changed after that,
// the time of the last change.
func (d *Draft) ModTime() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if set := d.attributesLocked().ModTime; set != nil {
		return *set
	}
	return d.mod
}

// Dirty reports whether the bytes or the size changed since the last commit that
// succeeded (at first: since the draft was created).
func (d *Draft) Dirty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirty
}

// Written reports whether any byte was ever written or the size was ever set to
// more than 0.
func (d *Draft) Written() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written
}

// Unlinked reports whether the draft's entry was removed: it must not be
// committed.
func (d *Draft) Unlinked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unlinked
}

// Inherit is the record that the next commit carries over: Spec.Inherit, after a
// Rebase the image that was committed; nil for none. It must not be changed.
func (d *Draft) Inherit() *image.Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inherit
}

// BaseImage is the image under a copy-on-write draft; false for a new draft,
// also after its commits: all its bytes are its own.
func (d *Draft) BaseImage() (image.Image, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over, d.layered
}

// Record is a copy of what the journal says, with the live size.
func (d *Draft) Record() Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.recordLocked()
}

func (d *Draft) recordLocked() Record {
	r := d.rec
	r.Size = d.size
	r.Path = d.Path()
	r.Unlinked = d.unlinked
	if d.layered {
		r.Base = d.over.ID
	}
	r.Attributes = d.attributesLocked()
	return r
}

// attributesLocked drops a ModTime that was set before the last write. (Not by
// changing rec: a journal write under way would bring it back.)
func (d *Draft) attributesLocked() image.Attributes {
	a := d.rec.Attributes
	if a.ModTime != nil && a.ModTime == d.staleMod {
		a.ModTime = nil
	}
	return a
}

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
	if !change(&j.Record) {
		return nil
	}
	d.mu.Lock()
	// A Sync that was overtaken must not take extents out of the journal again.
	now := done
	if now == nil || now.changes < d.journaled {
		now = d.layerLocked()
	}
	j.Synced = d.touches == d.fsynced
	j.Unlinked, j.Base, j.Size = d.unlinked, was.Base, d.size
	d.mu.Unlock()

	j.layer = now.layer
	j.Version, j.Draft, j.CreatedAt = was.Version, was.Draft, was.CreatedAt
	j.Service, j.Project = was.Service, was.Project
	j.Boot, j.UpdatedAt = d.store.boot, d.store.now().UTC()
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
	d.journaled = now.changes
	return nil
}

// synced is a copy of the layer, with the counts as of its making.
type synced struct {
	layer
	changes, touches uint64
}

func (d *Draft) layerLocked() *synced {
	s := &synced{changes: d.changes, touches: d.touches}
	if d.layered {
		s.layer = layer{limit: d.layer.limit, ext: d.layer.ext.clone()}
	}
	return s
}

// Rename gives an open draft another name and entry, and another image to
// retire when it is committed ("" for none); the journal has them on return.
func (d *Draft) Rename(name, entry, replaces string) error {
	return d.Update(func(r *Record) { r.Name, r.Entry, r.Replaces = name, entry, replaces })
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
		d.inherit = &img
		if d.layered { // base may be nil: then nothing of it is ever read
			drop, d.base, d.over = d.base, drop, img
		}
	}
	d.mu.Unlock()
	if err == nil {
		err = d.rewrite(func(r *Record) bool {
			r.Replaces, r.Inherit, r.Into, r.Reason = img.ID, img.ID, "", ""
			if d.settled(r.State) {
				r.State, r.Image = StateCommitted, img.ID
			}
			return true
		}, nil)
	}
	d.drop(drop)
	return fail("rebase draft", name, err)
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

func (d *Draft) name() string {
	name, _ := d.nameClosed()
	return name
}

func (d *Draft) nameClosed() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.Name, d.closed
}
