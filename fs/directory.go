package fs

import (
	"context"
	"math"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// directory is an open directory: what the listing was when it was opened or
// rewound, so that a reader who pauses neither misses an entry nor sees one twice.
type directory struct {
	fs     *FS
	list   func(context.Context) (Listing, error)
	lookup func(context.Context, Entry, *fuse.EntryOut) (*gofs.Inode, syscall.Errno)
	inode  func(Entry) uint64

	// go-fuse serialises the calls on one open directory.
	listing Listing // nil before the first read
	asOf    uint64  // FS.changes when it was asked for
	last    Entry   // what was read last
	next    int     // index of the entry that is read next, counting "." and ".."
}

var (
	_ gofs.FileReaddirenter = (*directory)(nil)
	_ gofs.FileSeekdirer    = (*directory)(nil)
	_ gofs.FileLookuper     = (*directory)(nil)
	_ gofs.FileFsyncdirer   = (*directory)(nil)
)

// dots are the entries that every directory begins with.
var dots = [...]string{".", ".."}

// OpendirHandle opens the root directory. The listing is asked for at the first
// read: opening a directory to chdir or fsync costs no request.
func (r *rootNode) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return &directory{
		fs:     r.fs,
		list:   r.fs.Catalog.List,
		lookup: r.entered,
		inode:  r.fs.inodeOf,
	}, 0, 0
}

// Readdirent returns the next entry, nil at the end. The offset of an entry is the
// index of the one after it.
func (d *directory) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	c := d.fs.begin(ctx)
	defer c.end()
	if d.listing == nil {
		d.asOf = d.fs.changes.Load()
		l, err := d.list(c)
		if err != nil {
			return nil, errnoOf(d.fs.fail("list", err))
		}
		d.listing = l
	}
	i := d.next
	if i < len(dots) {
		d.next++
		return &fuse.DirEntry{Name: dots[i], Mode: modeDirectory, Off: uint64(d.next)}, 0
	}
	e, ok, err := d.listing.At(c, i-len(dots))
	switch {
	case err != nil:
		return nil, errnoOf(d.fs.fail("list", err))
	case !ok:
		return nil, 0
	}
	d.next++
	d.last = e
	return &fuse.DirEntry{Name: e.Name, Mode: modeRegular, Ino: d.inode(e), Off: uint64(d.next)}, 0
}

// Seekdir goes on from an offset; 0 rewinds and lists anew.
func (d *directory) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		d.listing, d.last = nil, Entry{}
	}
	d.next = int(min(off, math.MaxInt32))
	return 0
}

// Lookup answers readdirplus from the listing itself: no attribute is asked twice.
// After a change of ours since the listing, it leaves the entry to a lookup of its
// own: else a name that was just given up would be back for a moment.
func (d *directory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if d.last.Name != name || d.asOf != d.fs.changes.Load() {
		return nil, syscall.ENOENT
	}
	return d.lookup(ctx, d.last, out)
}

// Fsyncdir succeeds: what the directory shows is in the service or in a synced
// journal.
func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
