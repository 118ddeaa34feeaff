package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// shown is what stat shows of the draft.
func (d *draft) shown(img image.Image) fuse.Attr {
	var out fuse.Attr
	d.fs.fillAttr(&out, image.Pack(img), d)
	return out
}

// attributes returns what was set on the file.
func (d *draft) attributes() image.Attributes {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set
}

// want notes attributes for the image to come. It returns false while a commit
// runs, which would not carry them any more, when a commit is owed, whose journal has
// to have them (wantOwed), and when the bytes have been committed, for then the
// image's record is the place.
func (d *draft) want(img image.Image, want image.Attributes) bool {
	shown := d.shown(img)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.unlinked && (d.closed || d.cancel != nil || d.accepting || d.owedLocked() || d.change == d.settled && img.ID != "") {
		return false
	}
	d.set, _ = merge(d.set, want, &shown)
	return true
}

// wantOwed is want in the node's turn for a draft whose commit is owed: what was
// promised has to survive the daemon. false: none is owed.
func (d *draft) wantOwed(img image.Image, want image.Attributes) (bool, error) {
	shown := d.shown(img)
	d.mu.Lock()
	owed := d.owedLocked()
	set, changed := merge(d.set, want, &shown)
	d.mu.Unlock()
	if !owed || !changed {
		return owed, nil
	}
	if err := d.journal(set); err != nil {
		return true, err
	}
	d.took(set)
	return true, nil
}

// keepOwn makes a new draft that is renamed over an image, in the node's turn, go on to
// have the mode and the owner that it shows: where nothing was set on it, its commit
// would carry over the image's.
func (d *draft) keepOwn(over *image.Image) error {
	if over == nil {
		return nil
	}
	return d.goOnShowing(d.ownUnder(*over))
}

// ownUnder is what a draft shows of which nothing was set, where its commit would carry
// over the image's.
func (d *draft) ownUnder(over image.Image) (own image.Attributes) {
	theirs, mode := d.fs.asSet(over).Attributes(), uint32(fileMode)
	if theirs.Mode != nil {
		own.Mode = &mode
	}
	if theirs.UID != nil {
		own.UID = &d.fs.opts.UID
	}
	if theirs.GID != nil {
		own.GID = &d.fs.opts.GID
	}
	return own
}

// goOnShowing makes the draft go on to show what it shows of an image that it leaves, in the
// node's turn.
func (d *draft) goOnShowing(own image.Attributes) error {
	d.mu.Lock()
	set, owed := overlaid(own, d.set), d.owedLocked()
	if !owed {
		d.set = set
	}
	d.mu.Unlock()
	if !owed {
		return nil
	}
	if err := d.journal(set); err != nil { // what is owed has to survive the daemon
		return err
	}
	d.took(set)
	return nil
}

// journal puts attributes into the draft's journal, and the time of its bytes where no
// mtime was set.
func (d *draft) journal(set image.Attributes) error {
	if err := d.bytes.SetAttributes(d.dated(set)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted = set
	return nil
}

// noteSet journals what was set on the file, for an fsync.
func (d *draft) noteSet(ctx context.Context) error {
	d.mu.Lock()
	noted := d.set == d.noted
	d.mu.Unlock()
	if noted {
		return nil
	}
	if err := d.node.take(ctx); err != nil { // a commit may be journaling what it takes along
		return err
	}
	defer d.node.give()
	for {
		d.mu.Lock()
		set, change := d.set, d.change
		noted, written := set == d.noted, d.changing > 0
		d.mu.Unlock()
		if noted {
			return nil
		}
		if written {
			set.ModTime = nil // in a moment it is no longer the time of the bytes
		}
		if err := d.bytes.SetAttributes(set); err != nil {
			return err
		}
		d.mu.Lock()
		quiet := d.changing == 0 && d.change == change
		if quiet || set.ModTime == nil {
			d.noted = set
			d.mu.Unlock()
			return nil
		} // else what was journaled may be older than bytes
		d.mu.Unlock()
	}
}

// carried returns how far the draft has changed, and what was set on it.
func (d *draft) carried() (change uint64, set image.Attributes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change, d.set
}

// dated adds what stat shows of the draft where no mtime was set: the image's own
// created_at could be earlier.
func (d *draft) dated(set image.Attributes) image.Attributes {
	if set.ModTime == nil {
		written := d.bytes.ModTime()
		set.ModTime = &written
	}
	return set
}

// took notes what the image's record now says of the file.
func (d *draft) took(set image.Attributes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set = set
}

// revert notes that the image's record did not take what was set: so it shows,
// unless a commit to come will carry it.
func (d *draft) revert(set image.Attributes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.change == d.settled {
		d.set = set
	}
}
