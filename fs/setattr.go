package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// Setattr changes the length through the draft, and mode, owner and mtime through
// the draft or, where nobody writes, by an update of the image's record, which may
// come a breath later.
func (n *node) Setattr(ctx context.Context, fh gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	c, cctx := n.fs.change(ctx)
	defer c.end()
	want := asked(in)
	if size, ok := in.GetSize(); ok {
		h, _ := fh.(*handle)
		if err := n.setSize(cctx, c.tid, h, int64(size), want); err != nil {
			return n.failOpen("truncate", err)
		}
	} else {
		if err := n.setAttributes(cctx, want); err != nil {
			return n.failOpen("set attributes", err)
		}
	}
	out.SetTimeout(n.validity())
	return n.attr(&out.Attr)
}

// setSize truncates. Through a handle it is one more change of the draft; without
// one it is truncate(2), which has no close and so commits before it answers, as a
// close would.
func (n *node) setSize(ctx context.Context, tid uint32, h *handle, size int64, want image.Attributes) error {
	if n.fixed {
		return &image.Error{Op: "truncate", Kind: image.NotPermitted, Detail: "files under .by-id are only to be read"}
	}
	if h != nil && h.write {
		if err := h.draft.truncate(ctx, &h.changes, size); err != nil {
			return err
		}
		return n.setAttributes(ctx, want)
	}
	// First, for with an error nothing may be truncated. (An mtime of the caller's
	// choice does not come along.)
	if err := n.setAttributes(ctx, want); err != nil {
		return err
	}
	img, before := n.now()
	if before == nil && img.ID != "" && img.Size == size {
		return nil
	}
	empty := before != nil && before.bytes.Size() == 0
	once := &handle{node: n, write: true, opener: processGroup(tid)}
	d, err := n.openWrite(ctx, size == 0, &once.changes)
	if err != nil {
		return err
	}
	once.draft = d
	n.fs.countHandle(1)
	defer once.release()
	if size == 0 {
		if !empty {
			d.changed(&once.changes, true) // the open has truncated it: here that is a write
		}
	} else if err := d.truncate(ctx, &once.changes, size); err != nil {
		return err
	}
	if once.changes.wrote == 0 { // the length that it had: what others write is for them to commit
		return nil
	}
	return d.flush(ctx, &once.changes, once.opener != 0)
}

// setAttributes stores what differs from what is shown.
func (n *node) setAttributes(ctx context.Context, want image.Attributes) error {
	if want.IsZero() {
		return nil
	}
	if img, d := n.now(); d != nil && d.want(img, want) {
		return nil
	}
	if err := n.take(ctx); err != nil { // a commit may be running
		return err
	}
	defer n.give()
	img, d := n.now()
	if d != nil {
		if owed, err := d.wantOwed(img, want); owed {
			return err
		}
		if d.want(img, want) {
			return nil
		}
	}
	if img.ID == "" {
		return &image.Error{Op: "set attributes", Kind: image.Stale, Detail: "its draft was not committed"}
	}
	set, err := n.allowed(img, want)
	_, _, gone := n.look()
	switch {
	case err != nil || set.IsZero():
	case gone:
		n.keepSet(set)
	case !n.fs.unsent.add(ctx, n, img.ID, set):
		err = n.store(ctx, img, set)
	}
	if err == nil && d != nil {
		img, _ = n.now()
		d.took(n.fs.asSet(img).Attributes())
	}
	return err
}

// allowed returns what of the wanted attributes differs from what is shown of the
// image, if that may be changed.
func (n *node) allowed(img image.Image, want image.Attributes) (image.Attributes, error) {
	var shown fuse.Attr
	n.fs.fillAttr(&shown, image.Pack(img), nil)
	set, changed := merge(image.Attributes{}, want, &shown)
	switch {
	case !changed:
		return image.Attributes{}, nil
	case n.fixed:
		return set, &image.Error{Op: "set attributes", Image: img.ID, Kind: image.NotPermitted, Detail: "files under .by-id are only to be read"}
	}
	return set, n.fs.policy.change("set attributes", img)
}

// store updates the image's record with what waits for it and with what is set
// now, in the node's turn.
func (n *node) store(ctx context.Context, img image.Image, set image.Attributes) error {
	waits := n.fs.unsent.of(img.ID)
	all := overlaid(overlaid(img.Attributes(), waits), set)
	fresh, err := n.fs.Catalog.Update(ctx, img.ID, []image.Change{attributesChange(img.ID, all)})
	if err != nil {
		return err
	}
	n.fs.unsent.left(img.ID, waits)
	n.refresh(fresh)
	return nil
}

// sendAttributes sends what waits for the image that is behind the node. A draft
// over it carries that already.
func (f *FS) sendAttributes(ctx context.Context, n *node, id string) error {
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.give()
	img, _ := n.now()
	switch {
	case f.unsent.of(id).IsZero():
		return nil
	case img.ID != id:
		f.unsent.drop(id) // a commit has put another image there, which carries it
		return nil
	}
	return n.store(ctx, img, image.Attributes{})
}

// attributesLost is the end of a change that was answered and then failed: what
// stat shows is the record's truth again.
func (f *FS) attributesLost(n *node, id string, err error) {
	entry, _ := n.Parent()
	f.log.Warn("mtime, mode or owner of an image could not be set: stat shows what the service has", "image", id, "entry", entry, "error", err)
	img, d := n.now()
	if d != nil && img.ID == id {
		d.revert(img.Attributes())
	}
	k := keyOf(id)
	for _, n := range f.allNodes() {
		if now, _, _ := n.look(); keyOfImage(now) == k {
			n.attributesChanged()
		}
	}
}

// waiting returns what waits for the image, and the change that brings it to the
// service with another update.
func (f *FS) waiting(img image.Image) (image.Attributes, []image.Change) {
	waits := f.unsent.of(img.ID)
	if waits.IsZero() {
		return waits, nil
	}
	return waits, []image.Change{attributesChange(img.ID, overlaid(img.Attributes(), waits))}
}

func attributesChange(id string, set image.Attributes) image.Change {
	return image.Change{Field: image.PropertyAttributes, Property: true, Value: set.Encode(id)}
}
