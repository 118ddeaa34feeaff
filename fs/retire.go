package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

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
	if child == nil { // the kernel has forgotten it: nothing to compare with
		if known == nil {
			known = &node{fs: r.fs, img: e.Image}
		}
		return known, nil
	}
	n, ok := child.Operations().(*node)
	if !ok || n != known {
		return nil, &image.Error{Op: "lookup", Image: e.Image.ID, Kind: image.Stale, Detail: "entry " + name + " has become another image"}
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

func (n *node) remove(ctx context.Context) error {
	img, d := n.now()
	if d != nil {
		return d.unlink(ctx)
	}
	return n.fs.delete(ctx, img)
}

// delete deletes the image if it may be.
func (f *FS) delete(ctx context.Context, img image.Image) error {
	if img.ID == "" {
		return &image.Error{Op: "unlink", Kind: image.NotFound}
	}
	if err := f.policy.retire("unlink", img); err != nil {
		return err
	}
	return f.Catalog.Remove(ctx, img.ID)
}

// unlink ends a commit under way, deletes the image that is behind the node, and
// makes the draft one that is never committed.
func (d *draft) unlink(ctx context.Context) error {
	d.mu.Lock()
	was := d.unlinked
	d.unlinked = true
	if d.cancel != nil {
		d.cancel()
	}
	d.mu.Unlock()
	err := d.take(ctx)
	if err == nil {
		defer d.give()
		if img, _ := d.node.now(); img.ID != "" {
			err = d.fs.delete(ctx, img)
		}
	}
	if err != nil {
		d.mu.Lock()
		d.unlinked = was
		d.mu.Unlock()
		return err
	}
	d.lose()
	return nil
}

// lose takes a draft that will never be committed out of the directory.
func (d *draft) lose() {
	d.mu.Lock()
	d.unlinked = true
	d.mu.Unlock()
	d.fs.Catalog.RemoveDraft(d.bytes.ID())
	if err := d.bytes.Unlink(); err != nil {
		d.fs.log.Warn("a removed draft stays in staging until its files are closed", "draft", d.bytes.Path(), "error", err)
	}
}

// Flags of renameat2(2), from linux/fs.h.
const renameNoReplace = 1

// Rename gives the image another name; an image that has the new name already is
// retired. A draft is renamed by its journal and takes the new name to the
// service when it is committed.
func (r *rootNode) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	switch {
	case r.fs.policy.readOnly:
		return syscall.EROFS
	case flags&^uint32(renameNoReplace) != 0:
		return syscall.EINVAL
	case newParent.EmbeddedInode() != r.EmbeddedInode(), newName == byIDName, name == byIDName:
		return syscall.EPERM
	}
	c, cctx := r.fs.changeBounded(ctx)
	defer c.end()
	err := r.rename(cctx, name, newName, flags&renameNoReplace != 0)
	return errnoOf(r.fs.fail("rename", err, "entry", name, "to", newName))
}

func (r *rootNode) rename(ctx context.Context, from, to string, noReplace bool) error {
	name, err := r.fs.Catalog.ImageName(to)
	if err != nil {
		return err
	}
	n, err := r.target(ctx, from)
	if err != nil {
		return err
	}
	over, err := r.target(ctx, to)
	switch {
	case image.Is(err, image.NotFound):
		over = nil
	case err != nil:
		return err
	case noReplace:
		return &image.Error{Op: "rename", Image: to, Kind: image.Exists}
	case over == n:
		return nil
	}
	var retired *image.Image
	var lost *draft
	if over != nil {
		var img image.Image
		if img, lost = over.now(); img.ID != "" {
			if err := r.fs.policy.rewrite("rename over", img); err != nil {
				return err
			}
			retired = &img
		}
	}
	if lost != nil {
		if err := lost.take(ctx); err != nil {
			return err
		}
		defer lost.give()
	}
	if err := n.rename(ctx, name, to, retired); err != nil {
		return err
	}
	if lost != nil {
		lost.lose()
	}
	return nil
}

// rename gives the node's image, its draft, or both the new name.
func (n *node) rename(ctx context.Context, name, entry string, over *image.Image) error {
	_, d := n.now()
	if d != nil {
		if err := d.take(ctx); err != nil {
			return err
		}
		defer d.give()
	}
	img, d := n.now() // a commit or a settle may just have ended
	if img.ID != "" {
		if err := n.fs.policy.change("rename", img); err != nil {
			return err
		}
		fresh, err := n.fs.Catalog.Rename(ctx, img, entry, over)
		if err != nil {
			return err
		}
		n.refresh(fresh)
		over = nil // retired; the draft's own predecessor stays what it is
	}
	if d == nil {
		return nil
	}
	if err := d.bytes.Rename(name, entry, over); err != nil {
		return err
	}
	d.mu.Lock()
	d.entry = entry
	d.mu.Unlock()
	n.fs.Catalog.MoveDraft(d.bytes.ID(), entry)
	return nil
}
