package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

const (
	modeRegular   = syscall.S_IFREG
	modeDirectory = syscall.S_IFDIR

	// What is shown where nothing was set through a mount. The service knows no
	// modes, so these are those of a umask of 022.
	fileMode      = 0o644
	directoryMode = 0o755
	writeBits     = 0o222

	// statBlock is the unit of st_blocks in bytes, by stat(2).
	statBlock = 512
)

// fillAttr fills in what stat shows of an image, or of the draft over it.
func (f *FS) fillAttr(out *fuse.Attr, img image.Packed, d *draft) {
	set := f.unsent.over(img)
	size, mtime, ctime := img.Size(), img.CreatedAt(), img.UpdatedAt()
	if set.ModTime != nil {
		mtime = *set.ModTime
	}
	if d != nil {
		set = d.attributes()
		size, mtime = d.bytes.Size(), d.bytes.ModTime()
		ctime = mtime
		if set.ModTime != nil {
			mtime = *set.ModTime
		}
	}
	mode, uid, gid := uint32(fileMode), f.opts.UID, f.opts.GID
	if set.Mode != nil {
		mode = *set.Mode
	}
	if set.UID != nil {
		uid = *set.UID
	}
	if set.GID != nil {
		gid = *set.GID
	}
	if d == nil && !f.policy.writable(img) {
		mode &^= writeBits
	}
	out.Mode = modeRegular | mode
	out.Nlink = 1
	out.Owner = fuse.Owner{Uid: uid, Gid: gid}
	out.Size = uint64(max(size, 0))
	out.Blocks = (out.Size + statBlock - 1) / statBlock
	out.Blksize = uint32(f.tuning.request) // one kernel request
	out.SetTimes(&mtime, &mtime, &ctime)
}

// modified is the time of the last change that an image shows.
func modified(img image.Image) time.Time {
	if set := img.Attributes().ModTime; set != nil {
		return *set
	}
	return img.CreatedAt
}

// fillDirectory fills in what stat shows of a directory.
func (f *FS) fillDirectory(out *fuse.Attr, ino uint64, mode uint32) {
	out.Ino = ino
	out.Mode = modeDirectory | mode
	out.Nlink = 2
	out.Owner = fuse.Owner{Uid: f.opts.UID, Gid: f.opts.GID}
	out.SetTimes(&f.began, &f.began, &f.began)
}

func (f *FS) directoryStatx(out *fuse.StatxOut, ino uint64, mode uint32) {
	var attr fuse.Attr
	f.fillDirectory(&attr, ino, mode)
	fillStatx(out, &attr)
	out.SetTimeout(f.tuning.validity)
}

// Statx answers as Getattr does, and adds when the image was created.
func (n *node) Statx(_ context.Context, _ gofs.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	var attr fuse.Attr
	if errno := n.attr(&attr); errno != 0 {
		return errno
	}
	img, d, _ := n.look()
	fillStatx(out, &attr)
	out.SetTimeout(n.validityOf(img, d))
	if at := img.CreatedAt(); !at.IsZero() {
		out.Mask |= statxBirth
		out.Btime = sxTime(at)
	}
	return 0
}

// Masks of statx(2), from linux/stat.h.
const (
	statxBasic = 0x7ff
	statxBirth = 0x800
)

func fillStatx(out *fuse.StatxOut, attr *fuse.Attr) {
	out.Mask = statxBasic
	out.Blksize = attr.Blksize
	out.Nlink = attr.Nlink
	out.Uid, out.Gid = attr.Uid, attr.Gid
	out.Mode = uint16(attr.Mode)
	out.Ino, out.Size, out.Blocks = attr.Ino, attr.Size, attr.Blocks
	out.Atime = sxTime(attr.AccessTime())
	out.Mtime = sxTime(attr.ModTime())
	out.Ctime = sxTime(attr.ChangeTime())
}

func sxTime(t time.Time) fuse.SxTime {
	return fuse.SxTime{Sec: uint64(t.Unix()), Nsec: uint32(t.Nanosecond())}
}

// asked are the attributes that a SETATTR wants, without the size.
func asked(in *fuse.SetAttrIn) image.Attributes {
	var a image.Attributes
	if mode, ok := in.GetMode(); ok {
		mode &= 0o777
		a.Mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		a.UID = &uid
	}
	if gid, ok := in.GetGID(); ok {
		a.GID = &gid
	}
	// truncate(2) carries "mtime now" along; the new bytes say that by themselves.
	_, sized := in.GetSize()
	if t, ok := in.GetMTime(); ok && !(sized && in.Valid&fuse.FATTR_MTIME_NOW != 0) {
		t = t.UTC()
		a.ModTime = &t
	}
	return a
}

// merge returns a with what was asked for put over it, and whether that changed
// anything: what is shown already need not be stored, so that rsync -a and cp -p
// cost no request more than they must.
func merge(a, want image.Attributes, shown *fuse.Attr) (image.Attributes, bool) {
	changed := false
	if want.Mode != nil && *want.Mode != shown.Mode&0o777 {
		a.Mode, changed = want.Mode, true
	}
	if want.UID != nil && *want.UID != shown.Uid {
		a.UID, changed = want.UID, true
	}
	if want.GID != nil && *want.GID != shown.Gid {
		a.GID, changed = want.GID, true
	}
	if want.ModTime != nil && !want.ModTime.Equal(shown.ModTime()) {
		a.ModTime, changed = want.ModTime, true
	}
	return a, changed
}
