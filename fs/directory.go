package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// directory is an open directory: what the listing was when it was opened or
// rewound, so that a reader who pauses neither misses an entry nor sees one twice.
type directory struct {
	list   func(context.Context) ([]Entry, error)
	lookup func(context.Context, Entry, *fuse.EntryOut) (*gofs.Inode, syscall.Errno)
	begin  func(context.Context) *call

	// go-fuse serialises the calls on one open directory.
	entries []Entry // sorted by name; nil before the first read
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
		list:   r.fs.Catalog.List,
		lookup: r.entered,
		begin:  r.fs.begin,
	}, 0, 0
}

// Readdirent returns the next entry, nil at the end. The offset of an entry is the
// index of the one after it.
func (d *directory) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.entries == nil {
		c := d.begin(ctx)
		defer c.end()
		list, err := d.list(c)
		if err != nil {
			return nil, errnoOf(err)
		}
		d.entries = slices.Clone(list)
		slices.SortFunc(d.entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	}
	i := d.next
	switch {
	case i < len(dots):
		d.next++
		return &fuse.DirEntry{Name: dots[i], Mode: modeDirectory, Off: uint64(d.next)}, 0
	case i-len(dots) < len(d.entries):
		d.next++
		e := d.entries[i-len(dots)]
		return &fuse.DirEntry{Name: e.Name, Mode: modeRegular, Ino: inodeNumber(e.Image.ID + e.Draft), Off: uint64(d.next)}, 0
	}
	return nil, 0
}

// Seekdir goes on from an offset; 0 rewinds and lists anew.
func (d *directory) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		d.entries = nil
	}
	d.next = int(min(off, uint64(len(dots)+len(d.entries))))
	return 0
}

// Lookup answers readdirplus from the listing itself: no attribute is asked twice.
func (d *directory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	i, ok := slices.BinarySearchFunc(d.entries, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return nil, syscall.ENOENT
	}
	return d.lookup(ctx, d.entries[i], out)
}

// Fsyncdir succeeds: what the directory shows is in the service or in a synced
// journal.
func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
