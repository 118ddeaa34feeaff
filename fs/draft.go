package fs

import (
	"context"
	"errors"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// draft is the writing side of a node.
//
// It commits when the process that opened it closes it, and at the latest when
// its last writer has gone. It ends (settle) when it has neither writers nor
// bytes that the service does not have.
type draft struct {
	fs    *FS
	node  *node
	bytes Draft
	turn  chan struct{} // holds one token while a commit, rename or unlink runs

	mu               sync.Mutex // guards the fields below
	entry            string     // file name that it will have
	writers, readers int        // open handles that were opened while it was there
	closed           bool       // settled: nobody joins any more
	unlinked         bool       // its entry was removed: never committed
	killed           bool       // the last process that closed it was being killed
	// change counts the changes of the bytes; wrote is change at the last one that
	// was not a truncation by open(2); settled is change at the last commit that
	// was tried, and failure how that one ended.
	change, wrote, settled uint64
	failure                error
	set                    image.Attributes   // what the committed image will carry
	cancel                 context.CancelFunc // ends the commit that runs; nil when none does
}

// create begins the draft of a new entry and its node.
func (f *FS) create(entry, name string) (*draft, error) {
	bytes, err := f.Drafts.Create(DraftSpec{Name: name, Entry: entry})
	if err != nil {
		return nil, err
	}
	d := &draft{fs: f, bytes: bytes, turn: make(chan struct{}, 1), writers: 1, entry: entry, change: 1}
	if err := f.Catalog.AddDraft(entry, bytes.ID()); err != nil {
		return nil, errors.Join(err, bytes.Discard())
	}
	f.mu.Lock()
	d.node = f.newNodeLocked(bytes.ID(), "")
	f.drafts[bytes.ID()] = d
	f.mu.Unlock()
	d.node.mu.Lock()
	d.node.img, d.node.draft = image.Image{}, d
	d.node.mu.Unlock()
	return d, nil
}

// openWrite returns the node's draft with the caller counted as a writer, a new
// one over the node's image when there is none.
func (n *node) openWrite(ctx context.Context, truncate bool) (*draft, error) {
	for {
		n.mu.Lock()
		d, img := n.draft, n.img
		joined := d != nil && d.join(true)
		n.mu.Unlock()
		switch {
		case joined:
			return d, d.truncateAtOpen(ctx, truncate)
		case d != nil: // it is being put away: its place is free in a moment
			if err := d.take(ctx); err != nil {
				return nil, err
			}
			d.give()
			continue
		}
		fresh, err := n.edit(ctx, img, truncate)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		if n.draft == nil && n.img.ID == img.ID {
			n.draft = fresh
			n.mu.Unlock()
			return fresh, nil
		}
		n.mu.Unlock()
		fresh.drop() // somebody was faster
	}
}

// truncateAtOpen is O_TRUNC on a draft that others have open.
func (d *draft) truncateAtOpen(ctx context.Context, truncate bool) error {
	if !truncate {
		return nil
	}
	if err := d.bytes.Truncate(ctx, 0); err != nil {
		d.leave(true)
		return err
	}
	d.changed(false)
	return nil
}

// edit makes a draft over the image: empty when truncated, else with the image's
// bytes under what will be written.
func (n *node) edit(ctx context.Context, img image.Image, truncate bool) (*draft, error) {
	f := n.fs
	entry, parent := n.Parent()
	if img.ID == "" || parent == nil {
		return nil, &image.Error{Op: "open for writing", Image: img.ID, Kind: image.Stale, Detail: "it is not in the directory any more"}
	}
	if err := f.policy.rewrite("open for writing", img); err != nil {
		return nil, err
	}
	if img.Status != image.StatusActive {
		fresh, err := f.Catalog.ByID(ctx, img.ID)
		if err != nil {
			return nil, err
		}
		n.refresh(fresh)
		img = fresh
	}
	spec := DraftSpec{Name: img.Name, Entry: entry, Attributes: img.Attributes()}
	spec.Attributes.ModTime = nil // new bytes have a time of their own
	switch {
	case img.Status == image.StatusQueued:
		spec.Into = img.ID
	case !img.HasData() || img.Status != image.StatusActive:
		if err := readable("open for writing", img); err != nil {
			return nil, err
		}
		return nil, &image.Error{Op: "open for writing", Image: img.ID, Kind: image.Forbidden, Detail: "its status is " + string(img.Status)}
	default:
		spec.Replaces = &img
		if !truncate && img.Size > 0 {
			spec.Base = f.Engine.Open(img)
		}
	}
	bytes, err := f.Drafts.Create(spec)
	if err != nil {
		return nil, err
	}
	d := &draft{fs: f, node: n, bytes: bytes, turn: make(chan struct{}, 1), writers: 1, entry: entry, set: spec.Attributes}
	if truncate && img.Size > 0 {
		d.change = 1
	}
	if err := f.Catalog.AddDraft(entry, bytes.ID()); err != nil {
		return nil, errors.Join(err, bytes.Discard())
	}
	f.mu.Lock()
	f.drafts[bytes.ID()] = d
	f.mu.Unlock()
	return d, nil
}

// drop gives up a draft that nobody has seen.
func (d *draft) drop() {
	d.forget()
	if err := d.bytes.Discard(); err != nil {
		d.fs.log.Warn("removing an unused draft failed; it stays in staging", "draft", d.bytes.Path(), "error", err)
	}
}

// forget takes the draft out of the directory.
func (d *draft) forget() {
	d.fs.Catalog.RemoveDraft(d.bytes.ID())
	d.fs.mu.Lock()
	delete(d.fs.drafts, d.bytes.ID())
	d.fs.mu.Unlock()
}

// join counts one more open handle; false when the draft has ended.
func (d *draft) join(writer bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if writer {
		d.writers++
	} else {
		d.readers++
	}
	return true
}

// ended reports whether nobody can join any more.
func (d *draft) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// leave counts one handle less. When no writer is left, the rest is done aside:
// the kernel waits for no answer, and a commit must not hold one of its places
// for background requests.
func (d *draft) leave(writer bool) {
	d.mu.Lock()
	if writer {
		d.writers--
	} else {
		d.readers--
	}
	last := d.writers == 0
	d.mu.Unlock()
	if last {
		d.fs.settling.Go(d.settle)
	}
}

// changed counts a change of the bytes. A truncation by open(2) alone makes no
// close commit: a shell's "> file" closes before the command has run.
func (d *draft) changed(written bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change++
	if written {
		d.wrote = d.change
		d.set.ModTime = nil // what was set before these bytes is no longer their time
	}
}

func (d *draft) write(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := d.bytes.WriteAt(ctx, p, off)
	if n > 0 {
		d.changed(true)
	}
	return n, err
}

// truncate sets the length. One that is right already changes nothing, and so is
// no reason for a commit.
func (d *draft) truncate(ctx context.Context, size int64) error {
	if d.bytes.Size() == size {
		return nil
	}
	if err := d.bytes.Truncate(ctx, size); err != nil {
		return err
	}
	d.changed(true)
	return nil
}

func (d *draft) allocate(ctx context.Context, mode uint32, off, size int64) error {
	if err := d.bytes.Allocate(ctx, mode, off, size); err != nil {
		return err
	}
	d.changed(true)
	return nil
}

// attributes returns what was set on the file.
func (d *draft) attributes() image.Attributes {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set
}

// want notes attributes for the image to come. It returns false when the bytes
// have been committed, for then the image's record is the place.
func (d *draft) want(img image.Image, want image.Attributes) bool {
	shown := d.shown(img)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || (d.change == d.settled && img.ID != "") {
		return false
	}
	d.set, _ = merge(d.set, want, &shown)
	return true
}

// took notes what the image's record now says of the file.
func (d *draft) took(set image.Attributes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set = set
}
