package fs

import (
	"context"
	"syscall"

	"github.com/imagefs/imagefs/image"
)

// target returns the node that the kernel means by a name, if the entry still is
// what was looked up: unlink and rename act on the image, not on whatever has
// come to bear its name since.
func (r *rootNode) target(ctx context.Context, name string) (*node, error) {
	e, err := r.fs.Catalog.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	known := r.fs.known(e)
	child := r.GetChild(name)
	if known == nil && e.Draft != "" {
		return nil, &image.Error{Op: "lookup", Image: e.Draft, Kind: image.Stale, Detail: "the draft of entry " + name + " has just ended"}
	}
	if child == nil { // the kernel has forgotten it: nothing to compare with
		if known == nil {
			known = &node{fs: r.fs, img: e.Image}
		}
		return known, nil
	}
	n, ok := child.Operations().(*node)
	if !ok || n != known {
		was := "no image"
		if ok {
			img, _, _ := n.look()
			was = "image " + img.ID()
		}
		return nil, &image.Error{Op: "lookup", Image: e.Image.ID(), Kind: image.Stale, Detail: "entry " + name + " has become another image: the caller has " + was}
	}
	return n, nil
}

// Unlink deletes the image. Where the entry is being written, a commit under way
// is given up and the draft is never committed; its open files go on with local
// bytes.
func (r *rootNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if r.fs.policy.readOnly {
		return syscall.EROFS
	}
	c, cctx := r.fs.changeBounded(ctx)
	defer c.end()
	n, err := r.target(cctx, name)
	if err == nil {
		err = n.remove(cctx)
	}
	return errnoOf(r.fs.fail("unlink", err, "entry", name))
}

// remove deletes the image behind the node, if it may be, and with it the draft.
func (n *node) remove(ctx context.Context) error {
	img, _ := n.now()
	if err := n.fs.policy.retire("unlink", img); err != nil {
		return err // before a commit under way is given up
	}
	verdict, err := n.condemn(ctx)
	if err != nil {
		return err
	}
	goes, err := n.retires(ctx)
	switch {
	case err != nil:
	case goes.img != nil:
		goes.draft.removing(goes.img.ID)
		if err = n.fs.Catalog.Remove(ctx, goes.img.ID); refuses(err) {
			goes.draft.removing("")
		}
		if goes.draft != nil && image.Is(err, image.NotFound) {
			err = nil // others have deleted what lay under the draft
		}
	case goes.draft == nil:
		err = &image.Error{Op: "unlink", Kind: image.NotFound, Detail: "its draft was not committed"}
	}
	if err == nil && goes.img != nil {
		n.keepSet(image.Attributes{})
		n.fs.unsent.drop(goes.img.ID)
	}
	verdict(err == nil)
	if err == nil && goes.strays {
		n.leaveImage(goes.draft)
	}
	return err
}

// removing journals that the image is being deleted. That fails on a full disk, where
// rm must work: then a crash leaves a draft for a person to look at.
func (d *draft) removing(image string) {
	if d == nil {
		return
	}
	if err := d.bytes.Removing(image); err != nil {
		d.fs.log.Warn("the journal of a file that is being removed does not say so", "draft", d.bytes.Path(), "error", err)
	}
}

// refuses reports an answer of the service that an image stays.
func refuses(err error) bool {
	switch image.KindOf(err) {
	case image.Protected, image.Forbidden, image.Foreign, image.NotPermitted, image.Busy, image.Stale, image.Credentials:
		return err != nil
	default:
		return false
	}
}

// retiring is what goes with an entry, each nil for none.
type retiring struct {
	img    *image.Image
	draft  *draft
	strays bool // the image under the draft stays: others have renamed it
}

// under returns the image that goes with the entry, nil for none, and the draft: the
// image behind the node or, of a new draft, the one that it was renamed over.
func (n *node) under() (*image.Image, *draft) {
	img, d := n.now()
	switch {
	case d == nil && img.ID == "":
		return nil, nil
	case d == nil:
		return &img, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if img.ID == "" {
		return d.replaces, d
	}
	img.Name = d.name // what the directory has learnt since may be another
	return &img, d
}

// retires returns what goes with the entry. A draft keeps its entry for as long as it is
// written, without anybody looking; so what lies under it is asked for.
func (n *node) retires(ctx context.Context) (retiring, error) {
	old, d := n.under()
	if old == nil || d == nil {
		return retiring{img: old, draft: d}, nil
	}
	switch err := n.fs.still(ctx, *old); {
	case image.Is(err, image.Stale):
		return retiring{draft: d, strays: true}, nil
	case image.Is(err, image.NotFound):
		n.fs.unsent.drop(old.ID)
		return retiring{draft: d}, nil
	default:
		return retiring{img: old, draft: d}, err
	}
}

// leaveImage parts the node of a draft from the image under it, which is gone, or which others
// have renamed: that has an entry, and now a node, of its own.
func (n *node) leaveImage(d *draft) {
	n.mu.Lock()
	n.img = image.Packed{}
	n.mu.Unlock()
	n.fs.moved(n, d.bytes.ID())
}

// still asks whether the image, which was looked up long ago, has the name that it had
// then: kind Stale where others have given it another, to keep it, and NotFound where it
// is gone.
func (f *FS) still(ctx context.Context, img image.Image) error {
	now, err := f.Catalog.Fresh(ctx, img.ID)
	if err != nil || now.Name == img.Name {
		return err
	}
	f.log.Info("the image under a draft was renamed by others; it is left alone", "image", img.ID, "was", img.Name, "name", now.Name)
	return &image.Error{Op: "look", Image: img.ID, Kind: image.Stale, Detail: "others have renamed it"}
}

// leaveReplaced deletes the image that a new draft was renamed over, when the draft
// leaves that entry before a commit could do so: what was replaced must not be back.
func (d *draft) leaveReplaced(ctx context.Context) error {
	d.mu.Lock()
	old := d.replaces
	d.mu.Unlock()
	if old == nil {
		return nil
	}
	err := d.fs.still(ctx, *old)
	if err == nil {
		err = d.fs.Catalog.Remove(ctx, old.ID)
	}
	if err != nil && !image.Is(err, image.NotFound) && !image.Is(err, image.Stale) {
		return err
	}
	d.mu.Lock()
	d.replaces = nil
	d.interruptLocked(errOvertaken)
	d.mu.Unlock()
	return nil
}
