package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// byIDName is the directory, not shown in the root, in which any image that the
// credentials can see is found by its id.
const byIDName = ".by-id"

// byIDMode: its files come and go with the root's; nothing is made in it.
const byIDMode = 0o555

type byIDNode struct {
	gofs.Inode
	fs *FS
}

var (
	_ gofs.NodeLookuper       = (*byIDNode)(nil)
	_ gofs.NodeCreater        = (*byIDNode)(nil)
	_ gofs.NodeUnlinker       = (*byIDNode)(nil)
	_ gofs.NodeRenamer        = (*byIDNode)(nil)
	_ gofs.NodeOpendirHandler = (*byIDNode)(nil)
	_ gofs.NodeGetattrer      = (*byIDNode)(nil)
	_ gofs.NodeStatxer        = (*byIDNode)(nil)
	_ gofs.NodeSetattrer      = (*byIDNode)(nil)
	_ gofs.NodeSetxattrer     = (*byIDNode)(nil)
	_ gofs.NodeRemovexattrer  = (*byIDNode)(nil)
	_ gofs.NodeStatfser       = (*byIDNode)(nil)
)

// byID answers a lookup of the directory itself.
func (f *FS) byID(ctx context.Context, out *fuse.EntryOut) *gofs.Inode {
	ino := inodeNumber(byIDName)
	f.fillDirectory(&out.Attr, ino, byIDMode)
	out.SetEntryTimeout(f.tuning.validity)
	out.SetAttrTimeout(f.tuning.validity)
	return f.root.NewInode(ctx, &byIDNode{fs: f}, gofs.StableAttr{Mode: modeDirectory, Ino: ino})
}

// Getattr answers from memory.
func (b *byIDNode) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	b.fs.fillDirectory(&out.Attr, b.StableAttr().Ino, byIDMode)
	out.SetTimeout(b.fs.tuning.validity)
	return 0
}

// Statx answers as Getattr does.
func (b *byIDNode) Statx(_ context.Context, _ gofs.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	b.fs.directoryStatx(out, b.StableAttr().Ino, byIDMode)
	return 0
}

// Setattr refuses.
func (b *byIDNode) Setattr(context.Context, gofs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EPERM
}

// Lookup finds an image by its id: one request, and none for what is no id.
func (b *byIDNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	c := b.fs.beginBounded(ctx)
	defer c.end()
	img, err := b.fs.Catalog.ByID(c, name)
	if err != nil {
		return nil, lookupErrno(b.fs.fail("lookup by id", err, "entry", name))
	}
	return b.entered(ctx, Entry{Name: name, Image: image.Pack(img)}, out)
}

func (b *byIDNode) entered(ctx context.Context, e Entry, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n := b.fs.fixedNodeOf(e, b.EmbeddedInode())
	if errno := n.entryOut(out); errno != 0 {
		return nil, errno
	}
	return n.enterTree(ctx, b.EmbeddedInode()), 0
}

// OpendirHandle lists the ids of the images that the root lists.
func (b *byIDNode) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return &directory{
		fs:     b.fs,
		list:   b.fs.Catalog.IDs,
		lookup: b.entered,
		inode:  b.fs.fixedInodeOf,
	}, 0, 0
}

// Create refuses: an id is chosen at the service, not by a name.
func (b *byIDNode) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EPERM
}

// Unlink refuses: images are deleted in the root.
func (b *byIDNode) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rename refuses.
func (b *byIDNode) Rename(context.Context, string, gofs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EPERM
}

// Mkdir refuses.
func (b *byIDNode) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Rmdir refuses: go-fuse would let a missing method succeed.
func (b *byIDNode) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// Mknod refuses.
func (b *byIDNode) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Link refuses.
func (b *byIDNode) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink refuses.
func (b *byIDNode) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Statfs answers as the root does.
func (b *byIDNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	b.fs.statfs(out)
	return 0
}
