package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// rootNode is the directory of the image list.
type rootNode struct {
	gofs.Inode
	fs *FS

	mu  sync.Mutex // guards the field below
	set image.Attributes
}

// The operations that the root has. Not implemented on purpose: O_TMPFILE (go-fuse
// answers EOPNOTSUPP).
var (
	_ gofs.NodeLookuper       = (*rootNode)(nil)
	_ gofs.NodeCreater        = (*rootNode)(nil)
	_ gofs.NodeMknoder        = (*rootNode)(nil)
	_ gofs.NodeUnlinker       = (*rootNode)(nil)
	_ gofs.NodeRenamer        = (*rootNode)(nil)
	_ gofs.NodeOpendirHandler = (*rootNode)(nil)
	_ gofs.NodeGetattrer      = (*rootNode)(nil)
	_ gofs.NodeStatxer        = (*rootNode)(nil)
	_ gofs.NodeSetattrer      = (*rootNode)(nil)
	_ gofs.NodeSetxattrer     = (*rootNode)(nil)
	_ gofs.NodeRemovexattrer  = (*rootNode)(nil)
	_ gofs.NodeStatfser       = (*rootNode)(nil)
)

// Getattr answers from memory.
func (r *rootNode) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	r.fill(&out.Attr)
	out.SetTimeout(r.fs.tuning.validity)
	return 0
}

// fill fills in what stat shows: what the mount was told, and what was set since.
func (r *rootNode) fill(out *fuse.Attr) {
	r.fs.fillDirectory(out, 1, directoryMode)
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if set.ModTime != nil {
		out.SetTimes(set.ModTime, set.ModTime, nil)
	}
	if set.Mode != nil {
		out.Mode = modeDirectory | *set.Mode
	}
	if set.UID != nil {
		out.Uid = *set.UID
	}
	if set.GID != nil {
		out.Gid = *set.GID
	}
}

// Statx answers as Getattr does. Without it the kernel would never ask for a
// statx again, and no file would show when it was created.
func (r *rootNode) Statx(_ context.Context, _ gofs.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	var attr fuse.Attr
	r.fill(&attr)
	fillStatx(out, &attr)
	out.SetTimeout(r.fs.tuning.validity)
	return 0
}

// Setattr keeps what is set in memory: the service has no record for a directory,
// but rsync -a, cp -a and tar set the times of the one that they write into, and
// fail if that does. It holds until the unmount, as the mountpoint does.
func (r *rootNode) Setattr(ctx context.Context, fh gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if r.fs.policy.readOnly {
		return syscall.EROFS
	}
	want := asked(in)
	r.mu.Lock()
	r.set = overlaid(r.set, want)
	r.mu.Unlock()
	return r.Getattr(ctx, fh, out)
}

// Lookup asks the catalog, within the bound of what runs under the directory's
// lock.
func (r *rootNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	switch {
	case name == byIDName:
		return r.fs.byID(ctx, out), 0
	case len(name) > nameMax: // the kernel itself refuses at 1024 only
		return nil, syscall.ENAMETOOLONG
	}
	c := r.fs.beginBounded(ctx)
	defer c.end()
	for {
		e, err := r.fs.Catalog.Lookup(c, name)
		if err != nil {
			return nil, lookupErrno(r.fs.fail("lookup", err, "entry", name))
		}
		if n := r.fs.nodeOf(e); n != nil {
			return r.enter(ctx, n, out)
		}
		if err := waitPutAway(c, name); err != nil {
			return nil, lookupErrno(r.fs.fail("lookup", err, "entry", name))
		}
	}
}

// entered answers a lookup with the node of an entry that was listed. What its draft has
// become that has ended just now it leaves to a lookup of its own.
func (r *rootNode) entered(ctx context.Context, e Entry, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n := r.fs.nodeOf(e)
	if n == nil {
		return nil, syscall.ENOENT
	}
	return r.enter(ctx, n, out)
}

// enter answers a lookup with a node.
func (r *rootNode) enter(ctx context.Context, n *node, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if n.entryOut(out) != 0 {
		return nil, syscall.ENOENT // a draft that ended just now without an image
	}
	return n.enterTree(ctx, r.EmbeddedInode()), 0
}

// Create begins the draft of a new image. It asks the service for nothing but
// whether the name is free.
func (r *rootNode) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	c := r.fs.beginBounded(ctx)
	defer c.end()
	h := &handle{write: true, opener: processGroup(c.tid)}
	d, err := r.create(c, name, flags, &h.changes)
	if err != nil {
		return nil, nil, 0, errnoOf(r.fs.fail("create", err, "entry", name))
	}
	h.node, h.draft = d.node, d
	r.fs.countHandle(1)
	if errno := d.node.entryOut(out); errno != 0 {
		h.release()
		return nil, nil, 0, errno
	}
	mode := d.node.admitWriter(h, flags)
	return d.node.enterTree(ctx, r.EmbeddedInode()), h, mode, 0
}

func (r *rootNode) create(ctx context.Context, entry string, flags uint32, by *handleChanges) (*draft, error) {
	if r.fs.policy.readOnly {
		return nil, &image.Error{Op: "create", Image: entry, Kind: image.ReadOnly, Detail: "the mount is read-only"}
	}
	name, err := r.fs.Catalog.ImageName(entry)
	if err != nil {
		return nil, err
	}
	if entry == byIDName {
		return nil, &image.Error{Op: "create", Image: entry, Kind: image.Exists}
	}
	_, err = r.fs.taken(ctx, entry)
	switch {
	case err == nil && flags&syscall.O_EXCL != 0:
		return nil, &image.Error{Op: "create", Image: entry, Kind: image.Exists}
	case err == nil:
		// It came into being since the kernel's lookup: ESTALE makes the kernel look
		// again and open what is there.
		return nil, &image.Error{Op: "create", Image: entry, Kind: image.Stale, Detail: "it exists by now"}
	case !image.Is(err, image.NotFound):
		return nil, err
	}
	if err := r.fs.Catalog.FinishAt(ctx, entry); err != nil {
		return nil, err
	}
	d, err := r.fs.create(entry, name, by)
	if flags&syscall.O_EXCL == 0 {
		err = overtaken(err)
	}
	return d, err
}

// putAway lies between two looks whether an ended draft has been put away: that takes
// a journal's last write.
const putAway = 2 * time.Millisecond

// taken looks up who has the entry. A draft that has ended without an image is
// nobody, but is shown until it has been put away: that is waited for.
func (f *FS) taken(ctx context.Context, entry string) (Entry, error) {
	for {
		e, err := f.Catalog.Lookup(ctx, entry)
		if err != nil || !e.Image.IsZero() {
			return e, err
		}
		if n := f.known(e); n != nil {
			if _, d := n.now(); d != nil {
				return e, nil
			}
			if err := n.take(ctx); err != nil { // who puts it away has the turn
				return e, err
			}
			n.give()
		}
		if err := waitPutAway(ctx, entry); err != nil {
			return e, err
		}
	}
}

// waitPutAway waits for one more look at the entry of an ended draft.
func waitPutAway(ctx context.Context, entry string) error {
	if err := image.Pause(ctx, putAway); err != nil {
		return &image.Error{Op: "wait for the end of a draft", Image: entry, Kind: image.KindOf(err), Err: err}
	}
	return nil
}

// Mkdir refuses: images lie in one directory.
func (r *rootNode) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Rmdir refuses: go-fuse would let a missing method succeed.
func (r *rootNode) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// Mknod begins the draft of a new image as Create does, and opens nothing: so tar makes a
// file whose attributes it sets before it writes, and an NFS server every file. What is
// not a regular file is refused.
func (r *rootNode) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, syscall.EPERM
	}
	c := r.fs.beginBounded(ctx)
	defer c.end()
	d, err := r.create(c, name, syscall.O_EXCL, &handleChanges{})
	if err != nil {
		return nil, errnoOf(r.fs.fail("mknod", err, "entry", name))
	}
	defer d.leaveUnopened()
	if errno := d.node.entryOut(out); errno != 0 {
		return nil, errno
	}
	return d.node.enterTree(ctx, r.EmbeddedInode()), 0
}

// Link refuses.
func (r *rootNode) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink refuses.
func (r *rootNode) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
