package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// node is an entry of the root directory. Its inode number stays when a commit
// gives the entry another image.
//
// There may be one for each image of a cloud: TestNodeMemory bounds its size.
type node struct {
	gofs.Inode
	fs  *FS
	ino uint64
	key nodeKey // what is behind it; guarded by FS.mu

	inTree atomic.Bool // go-fuse knows it: before that, its Inode is not to be used

	fixed     bool // under .by-id: one image for ever, and only to be read
	forgotten bool // by the kernel; guarded by FS.mu
	parted    bool // its entry has another node: see mode.go; guarded by FS.mu
	drafts    int8 // so many drafts that have not ended are of it; guarded by FS.mu

	mu    sync.Mutex   // guards the fields below
	gone  bool         // removed or replaced through the mount: no draft begins here
	img   image.Packed // no record while the entry is a new draft only
	draft *draft       // the writing side; nil when nobody writes
	open  int32        // open handles, but for those that are passed through
	past  int32        // of those, the ones that write past the page cache: see mode.go
	// backing is what the kernel reads for the open handles; nil where they go
	// through us. While it is there, open is 0, draft nil, and img stays.
	backing *backing
	turn    chan struct{} // made by the first take, then never changed
}

// enterTree gives the node its place in go-fuse's tree, beneath parent. go-fuse makes
// its Inode there, and two lookups may be here at once: whoever stats an entry whose
// validity is over asks anew, and so does the next one.
func (n *node) enterTree(ctx context.Context, parent *gofs.Inode) *gofs.Inode {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.inTree.Load() {
		return n.EmbeddedInode()
	}
	inode := parent.NewInode(ctx, n, n.fs.identity(n))
	n.inTree.Store(true)
	return inode
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
	p, d, _ := n.look()
	return p.Unpack(), d
}

// look is now for who can do with the packed record, and whether the entry is gone.
func (n *node) look() (p image.Packed, d *draft, gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draft == nil || n.draft.ended() {
		return n.img, nil, n.gone
	}
	return n.img, n.draft, n.gone
}

// replaced reports whether the image or the draft behind the node is another one
// by now.
func (n *node) replaced(img image.Packed, d *draft) bool {
	now, draft, _ := n.look()
	return !sameImage(now, img) || draft != d
}

// sameImage reports whether both are records of one image, or none.
func sameImage(a, b image.Packed) bool { return keyOfImage(a) == keyOfImage(b) }

// id is the id of the image behind the node, or of its new draft.
func (n *node) id() string {
	img, d, _ := n.look()
	if img.IsZero() && d != nil {
		return d.bytes.ID()
	}
	return img.ID()
}

// found takes what the directory knows of the image that is behind the node, if
// that is not older than what is known here: a listing may have been made before
// our own last change.
func (n *node) found(img image.Packed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = false
	if n.img != img && sameImage(n.img, img) && !older(img, n.img) {
		n.img = img
	}
}

// older reports whether a is an older record than b of the same image. The service
// counts whole seconds, but never takes data away from a record that had some.
func older(a, b image.Packed) bool {
	return a.UpdatedAt().Before(b.UpdatedAt()) || pending(a.Status()) && !pending(b.Status())
}

// refresh takes the service's answer to a change of ours of the image that is
// behind the node anyway.
func (n *node) refresh(img image.Image) {
	n.fs.changes.Add(1)
	n.fs.unsent.trusted.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := image.Pack(img); sameImage(n.img, p) {
		n.img = p
	}
}

// keepSet notes what was set on the image, and is set now, and never will be sent, for who
// has the file open after its removal.
func (n *node) keepSet(set image.Attributes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.img.IsZero() {
		return // packed, no record would be one
	}
	n.img = image.Pack(withSet(n.fs.asSet(n.img.Unpack()), set))
}

// replace puts another image behind the node: a commit's, which carries what was
// set on the one before it.
func (n *node) replace(img image.Image) {
	n.fs.changes.Add(1)
	n.fs.unsent.trusted.Store(true)
	n.mu.Lock()
	old := n.img.ID()
	n.img = image.Pack(img)
	n.mu.Unlock()
	n.fs.unsent.drop(old)
	n.fs.moved(n, img.ID)
}

// OnForget drops the node when the kernel has forgotten it.
func (n *node) OnForget() { n.fs.forget(n) }

// Open opens the entry. Reading needs bytes that are to be had; writing begins a
// draft, or joins the one that is there.
func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	h := &handle{node: n}
	truncate := flags&syscall.O_TRUNC != 0 // Linux lets a file opened for reading be truncated, too
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY && !truncate {
		c := n.fs.beginBounded(ctx)
		defer c.end()
		if err := n.openRead(c); err != nil {
			return nil, 0, errnoOf(n.fail("open", err))
		}
		mode, err := n.admit(c, h)
		if err != nil {
			return nil, 0, errnoOf(err)
		}
		n.fs.countHandle(1)
		return h, mode, 0
	}
	if n.fixed {
		return nil, 0, syscall.EPERM
	}
	c := n.fs.begin(ctx) // it may wait for a commit; what it asks itself is bounded
	defer c.end()
	h.write, h.opener = true, processGroup(c.tid)
	d, err := n.openWrite(c, truncate, &h.changes)
	if err != nil {
		return nil, 0, errnoOf(n.fail("open for writing", err))
	}
	h.draft = d
	n.fs.countHandle(1)
	return h, n.admitWriter(h, flags), 0
}

// openRead checks that the entry has bytes, and that they may be read. A record that had none when it was
// listed is asked for again, for uploads end.
func (n *node) openRead(ctx context.Context) error {
	img, d := n.now()
	if d != nil {
		return nil
	}
	if img.ID == "" {
		return &image.Error{Op: "open", Kind: image.Stale, Detail: "its draft was not committed"}
	}
	if img.Status != image.StatusActive && img.Status != image.StatusQueued {
		fresh, err := n.fs.Catalog.ByID(ctx, img.ID)
		if err != nil {
			return err
		}
		n.found(image.Pack(fresh))
		img = fresh
	}
	if err := readable("open", img); err != nil {
		return err
	}
	return n.fs.mayRead(ctx, img)
}

// mayRead asks whether the image may be read, for the cache and the kernel's pages have
// bytes of it that nobody would ask for otherwise. It is asked when a file is opened:
// who has it open goes on.
func (f *FS) mayRead(ctx context.Context, img image.Image) error {
	err := f.Permission.MayRead(ctx, img)
	if image.Is(err, image.NotFound) { // others have deleted or replaced it: what has its name now?
		f.Catalog.Gone(img.ID)
		f.log.Debug("open failed", "error", err)
		return errLookAgain
	}
	return err
}

// Getattr answers from memory.
func (n *node) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.SetTimeout(n.validity())
	return n.attr(&out.Attr)
}

// validity is how long the kernel may believe the attributes. Those of a record
// whose bytes are still to come are asked for each time: a size of 0 that is
// believed after the upload would make a reader copy an empty file.
func (n *node) validity() time.Duration {
	img, d, _ := n.look()
	return n.validityOf(img, d)
}

func (n *node) validityOf(img image.Packed, d *draft) time.Duration {
	if d == nil && pending(img.Status()) {
		return 0
	}
	return n.fs.tuning.validity
}

// attr fills in the attributes. A node whose new draft was given up has none.
func (n *node) attr(out *fuse.Attr) syscall.Errno {
	img, d, gone := n.look()
	return n.attrOf(out, img, d, gone)
}

func (n *node) attrOf(out *fuse.Attr, img image.Packed, d *draft, gone bool) syscall.Errno {
	if d == nil && img.IsZero() {
		return syscall.ESTALE
	}
	n.fs.fillAttr(out, img, d)
	out.Ino = n.ino
	if gone {
		out.Nlink = 0 // it has no name any more, and is open
	}
	return 0
}

// entryOut fills the answer of a lookup.
func (n *node) entryOut(out *fuse.EntryOut) syscall.Errno {
	img, d, gone := n.look()
	errno := n.attrOf(&out.Attr, img, d, gone)
	out.SetEntryTimeout(n.fs.tuning.validity)
	out.SetAttrTimeout(n.validityOf(img, d))
	return errno
}
