package staging

import (
	"os"
	"sync"
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
	// the commit carries over. It must not be changed.
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

	gate  *semaphore.Weighted // see enter
	syncs sync.WaitGroup      // the work of Snapshot.During, begun under mu while not closed; release waits for it

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
	lost      error // of the first fsync that failed: see sync
	refused   refusals
	mod       time.Time  // last change of the bytes
	staleMod  *time.Time // an attribute ModTime that a later write has outdated
	base      *heldBase  // nil: a new draft, or closed
	over      image.Image
	frozen    bool // a Snapshot is open
	closed    bool
}

func newDraft(s *Store, f *os.File, j journal, spec Spec) *Draft {
	d := &Draft{
		store: s, id: j.Draft, file: f, layered: j.Base != "", gate: semaphore.NewWeighted(gateWidth),
		rec: j.Record, layer: j.layer, size: j.Size, mod: s.now().UTC(),
		base: holdBase(spec.Base), over: spec.BaseImage,
		dirty: spec.Replaces != "" && spec.Base == nil,
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

// MissesFrom reports whether a write at off or behind it was refused, and nobody has written
// those bytes or cut them off since.
func (d *Draft) MissesFrom(off int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused.missesFrom(off)
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
// succeeded (at first: since the draft was created). A draft that replaces an image
// and is not over its bytes differs from the beginning: it was truncated by its
// open.
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
// Rename over an image that one, after a Rebase the image that was committed; nil
// for none. It must not be changed.
func (d *Draft) Inherit() *image.Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.Inherited
}

// BaseImage is the image under a copy-on-write draft; false for a new draft,
// also after its commits: all its bytes are its own.
func (d *Draft) BaseImage() (image.Image, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over, d.layered
}

// ShowsBase reports whether something of the image under a copy-on-write draft can
// show. Truncating the draft to nothing ends that; writing over it does not, even where
// all of it is written over.
func (d *Draft) ShowsBase() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.layered && d.layer.limit > 0
}

// Record is a copy of what the journal says, with the live size.
func (d *Draft) Record() Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.recordLocked()
}

// Age is how long ago the journal was written, by the clock that its times are of
// (Options.Clock), and below zero where that was set back since.
func (d *Draft) Age() time.Duration { return d.store.clock().Sub(d.Record().UpdatedAt) }

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

func (d *Draft) name() string {
	name, _ := d.nameClosed()
	return name
}

func (d *Draft) isClosed() bool {
	_, closed := d.nameClosed()
	return closed
}

func (d *Draft) nameClosed() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.Name, d.closed
}
