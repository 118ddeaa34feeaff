package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// Setattr changes the length through the draft, and mode, owner and mtime through
// the draft or, where nobody writes, by one update of the image's record.
func (n *node) Setattr(ctx context.Context, fh gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	c, cctx := n.fs.change(ctx)
	defer c.end()
	want := asked(in)
	if size, ok := in.GetSize(); ok {
		h, _ := fh.(*handle)
		if err := n.setSize(cctx, c.tid, h, int64(size), want); err != nil {
			return openErrno(n.fs.fail("truncate", err))
		}
	} else {
		if err := n.setAttributes(cctx, want); err != nil {
			return openErrno(n.fs.fail("set attributes", err))
		}
	}
	out.SetTimeout(n.validity())
	return n.attr(&out.Attr)
}

// setSize truncates. Through a handle it is one more change of the draft; without
// one it is truncate(2), which has no close and so commits before it answers.
func (n *node) setSize(ctx context.Context, tid uint32, h *handle, size int64, want image.Attributes) error {
	if n.fixed {
		return &image.Error{Op: "truncate", Kind: image.NotPermitted, Detail: "files under .by-id are only to be read"}
	}
	if h != nil && h.write {
		if err := h.draft.truncate(ctx, size); err != nil {
			return err
		}
		return n.setAttributes(ctx, want)
	}
	if img, d := n.now(); d == nil && img.ID != "" && img.Size == size {
		return n.setAttributes(ctx, want)
	}
	d, err := n.openWrite(ctx, size == 0)
	if err != nil {
		return err
	}
	once := &handle{node: n, write: true, draft: d, opener: processGroup(tid)}
	n.fs.countHandle(1)
	defer once.release()
	if size == 0 {
		d.changed(true) // the open has truncated it: here that is a write
	} else if err := d.truncate(ctx, size); err != nil {
		return err
	}
	if err := n.setAttributes(ctx, want); err != nil {
		return err
	}
	return d.commit(ctx)
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
	set, err := n.store(ctx, img, want)
	if err == nil && d != nil {
		d.took(set)
	}
	return err
}

// store puts what differs from what is shown into the image's record, in the node's
// turn, and returns what that has then.
func (n *node) store(ctx context.Context, img image.Image, want image.Attributes) (image.Attributes, error) {
	var shown fuse.Attr
	n.fs.fillAttr(&shown, img, nil)
	set, changed := merge(img.Attributes(), want, &shown)
	if !changed {
		return set, nil
	}
	if n.fixed {
		return set, &image.Error{Op: "set attributes", Image: img.ID, Kind: image.NotPermitted, Detail: "files under .by-id are only to be read"}
	}
	if err := n.fs.policy.change("set attributes", img); err != nil {
		return set, err
	}
	fresh, err := n.fs.Catalog.Update(ctx, img.ID, []image.Change{{
		Field: image.PropertyAttributes, Property: true, Value: set.Encode(img.ID),
	}})
	if err != nil {
		return set, err
	}
	n.refresh(fresh)
	return set, nil
}
