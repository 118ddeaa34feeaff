package fs

import (
	"context"
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// node is an entry of the root directory. Its inode number stays when a commit
// gives the entry another image.
type node struct {
	gofs.Inode
	fs    *FS
	ino   uint64
	fixed bool   // under .by-id: one image for ever, and only to be read
	key   string // by which FS.nodes knows it; guarded by FS.mu

	mu    sync.Mutex  // guards the fields below
	img   image.Image // ID is "" while the entry is a new draft only
	draft *draft      // the writing side; nil when nobody writes
}

// The operations that a file has. Not implemented on purpose: locks (they stay in
// the kernel), ioctl, copy_file_range (the kernel falls back to reading and
// writing).
var (
	_ gofs.NodeOpener        = (*node)(nil)
	_ gofs.NodeGetattrer     = (*node)(nil)
	_ gofs.NodeSetattrer     = (*node)(nil)
	_ gofs.NodeStatxer       = (*node)(nil)
	_ gofs.NodeGetxattrer    = (*node)(nil)
	_ gofs.NodeSetxattrer    = (*node)(nil)
	_ gofs.NodeRemovexattrer = (*node)(nil)
	_ gofs.NodeListxattrer   = (*node)(nil)
	_ gofs.NodeStatfser      = (*node)(nil)
	_ gofs.NodeOnForgetter   = (*node)(nil)
)

// now returns the image and the draft behind the node at this moment. A draft
// that has ended but is still being put away is none.
func (n *node) now() (image.Image, *draft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draft == nil || n.draft.ended() {
		return n.img, nil
	}
	return n.img, n.draft
}

// id is the id of the image behind the node, or of its new draft.
func (n *node) id() string {
	img, d := n.now()
	if img.ID == "" && d != nil {
		return d.bytes.ID()
	}
	return img.ID
}

// refresh takes a newer record of the image that is behind the node anyway.
func (n *node) refresh(img image.Image) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.img.ID == img.ID {
		n.img = img
	}
}

// replace puts another image behind the node.
func (n *node) replace(img image.Image) {
	n.mu.Lock()
	n.img = img
	n.mu.Unlock()
	n.fs.moved(n, img.ID)
}

// OnForget drops the node when the kernel has forgotten it.
func (n *node) OnForget() { n.fs.forget(n) }

// Open opens the entry. Reading needs bytes that are to be had; writing begins a
// draft, or joins the one that is there.
func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	c, cctx := n.fs.change(ctx)
	defer c.end()
	h := &handle{node: n}
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		if err := n.openRead(cctx, h); err != nil {
			return nil, 0, errnoOf(n.fs.fail("open", err))
		}
		n.fs.countHandle(1)
		return h, fuse.FOPEN_KEEP_CACHE, 0
	}
	if n.fixed {
		return nil, 0, syscall.EPERM
	}
	h.write, h.opener = true, processGroup(c.tid)
	d, err := n.openWrite(cctx, flags&syscall.O_TRUNC != 0)
	if err != nil {
		return nil, 0, errnoOf(n.fs.fail("open for writing", err))
	}
	h.draft = d
	n.fs.countHandle(1)
	return h, fuse.FOPEN_KEEP_CACHE, 0
}

// openRead checks that the entry has bytes. A record that had none when it was
// listed is asked for again, for uploads end.
func (n *node) openRead(ctx context.Context, h *handle) error {
	n.mu.Lock()
	img, d := n.img, n.draft
	if d != nil && d.join(false) {
		h.draft = d
		n.mu.Unlock()
		return nil
	}
	n.mu.Unlock()
	if img.ID == "" {
		return &image.Error{Op: "open", Kind: image.Stale, Detail: "its draft was not committed"}
	}
	if img.Status != image.StatusActive && img.Status != image.StatusQueued {
		fresh, err := n.fs.Catalog.ByID(ctx, img.ID)
		if err != nil {
			return err
		}
		n.refresh(fresh)
		img = fresh
	}
	if err := readable("open", img); err != nil {
		return err
	}
	if img.Status != image.StatusDeactivated || img.Size == 0 {
		return nil
	}
	// Who may read a deactivated image depends on role and policy: ask for a byte.
	r := n.fs.Engine.Open(img)
	_, err := r.ReadAt(ctx, make([]byte, 1), 0)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return err
}

// Getattr answers from memory.
func (n *node) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.attr(&out.Attr)
}

// attr fills in the attributes. A node whose new draft was given up has none.
func (n *node) attr(out *fuse.Attr) syscall.Errno {
	img, d := n.now()
	if d == nil && img.ID == "" {
		return syscall.ESTALE
	}
	n.fs.fillAttr(out, img, d)
	out.Ino = n.ino
	return 0
}

// entryOut fills the answer of a lookup.
func (n *node) entryOut(out *fuse.EntryOut) syscall.Errno {
	errno := n.attr(&out.Attr)
	out.SetEntryTimeout(validity)
	out.SetAttrTimeout(validity)
	return errno
}
