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
//
// A listing may still be on its way from the service. What has come is given to the
// reader before what has not: a reply ends where the next entry is not there, and waits
// only where it would be empty, which would mean the end of the directory.
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
	given   bool    // the reply has an entry, but for "." and ".."
	entry   fuse.DirEntry
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

// Readdirent returns the next entry, nil at the end of the reply. It holds until the
// next call. The offset of an entry is the index of the one after it.
func (d *directory) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.listing == nil {
		if err := d.ask(ctx); err != nil {
			return nil, errnoOf(d.fs.fail("list", err))
		}
	}
	i := d.next
	if i < len(dots) {
		d.next++
		d.entry = fuse.DirEntry{Name: dots[i], Mode: modeDirectory, Off: uint64(d.next)}
		return &d.entry, 0
	}
	e, ok, err := d.at(ctx, i-len(dots))
	switch {
	case err != nil:
		return nil, errnoOf(d.fs.fail("list", err))
	case !ok:
		return nil, 0
	}
	d.next++
	d.last, d.given = e, true
	d.entry = fuse.DirEntry{Name: e.Name, Mode: modeRegular, Ino: d.inode(e), Off: uint64(d.next)}
	return &d.entry, 0
}

// ask asks for the listing.
func (d *directory) ask(ctx context.Context) error {
	c := d.fs.begin(ctx)
	defer c.end()
	d.asOf = d.fs.changes.Load()
	l, err := d.list(c)
	if err == nil {
		d.listing = l
	}
	return err
}

// at returns an entry of the listing; ok is false where the reply ends.
func (d *directory) at(ctx context.Context, i int) (e Entry, ok bool, err error) {
	if d.listing.Ready(i) {
		return d.listing.At(d.fs.life, i)
	}
	if d.given {
		return Entry{}, false, nil
	}
	c := d.fs.begin(ctx)
	defer c.end()
	return d.listing.At(c, i)
}

// replyBegins is in the offset of each request to read a directory, when go-fuse sees
// it. So it is never the offset at which the last reply ended, go-fuse calls Seekdir
// before each reply, and takes nothing from what it remembers of the last one: of that
// it would lose entries where a reader goes back and a READDIRPLUS, whose replies hold
// fewer, takes over from a READDIR.
const replyBegins = 1 << 62

// ReadDir marks the beginning of a reply.
func (b bridge) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	in.Offset |= replyBegins
	return b.RawFileSystem.ReadDir(cancel, in, out)
}

// ReadDirPlus marks the beginning of a reply.
func (b bridge) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	in.Offset |= replyBegins
	return b.RawFileSystem.ReadDirPlus(cancel, in, out)
}

// Seekdir begins a reply at an offset; 0 rewinds and lists anew.
func (d *directory) Seekdir(_ context.Context, off uint64) syscall.Errno {
	off &^= replyBegins
	if off == 0 {
		d.listing, d.last = nil, Entry{}
	}
	d.next, d.given = int(min(off, math.MaxInt32)), false
	return 0
}

// Lookup answers readdirplus from the listing itself: no attribute is asked twice.
// What a change of ours since the listing has moved it leaves to a lookup of its own:
// else a name that was just given up would be back for a moment.
func (d *directory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if d.last.Name != name || d.asOf != d.fs.changes.Load() && !d.listing.Still(d.last) {
		return nil, syscall.ENOENT
	}
	return d.lookup(ctx, d.last, out)
}

// Fsyncdir succeeds: what the directory shows is in the service or in a synced
// journal.
func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
