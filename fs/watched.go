package fs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The operations of watched that need no word: each is passed on, and told of.

func (w watched) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return w.tell(opLookup, began, w.RawFileSystem.Lookup(cancel, header, name, out))
}

func (w watched) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	return w.tell(opGetattr, began, w.RawFileSystem.GetAttr(cancel, in, out))
}

func (w watched) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	return w.tell(opSetattr, began, w.RawFileSystem.SetAttr(cancel, in, out))
}

func (w watched) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return w.tell(opMknod, began, w.RawFileSystem.Mknod(cancel, in, name, out))
}

func (w watched) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return w.tell(opMkdir, began, w.RawFileSystem.Mkdir(cancel, in, name, out))
}

func (w watched) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	return w.tell(opUnlink, began, w.RawFileSystem.Unlink(cancel, header, name))
}

func (w watched) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	return w.tell(opRmdir, began, w.RawFileSystem.Rmdir(cancel, header, name))
}

func (w watched) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	began := time.Now()
	return w.tell(opRename, began, w.RawFileSystem.Rename(cancel, in, from, to))
}

func (w watched) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return w.tell(opLink, began, w.RawFileSystem.Link(cancel, in, name, out))
}

func (w watched) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return w.tell(opSymlink, began, w.RawFileSystem.Symlink(cancel, header, target, name, out))
}

func (w watched) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	began := time.Now()
	return w.tell(opSetxattr, began, w.RawFileSystem.SetXAttr(cancel, in, attr, data))
}

func (w watched) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	began := time.Now()
	return w.tell(opRemovexattr, began, w.RawFileSystem.RemoveXAttr(cancel, header, attr))
}

func (w watched) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	began := time.Now()
	return w.tell(opCreate, began, w.RawFileSystem.Create(cancel, in, name, out))
}

func (w watched) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	began := time.Now()
	return w.tell(opTmpfile, began, w.RawFileSystem.Tmpfile(cancel, in, out))
}

func (w watched) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	return w.tell(opOpen, began, w.RawFileSystem.Open(cancel, in, out))
}

func (w watched) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	began := time.Now()
	return w.tell(opLseek, began, w.RawFileSystem.Lseek(cancel, in, out))
}

func (w watched) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	began := time.Now()
	return w.tell(opFlush, began, w.RawFileSystem.Flush(cancel, in))
}

func (w watched) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	return w.tell(opFsync, began, w.RawFileSystem.Fsync(cancel, in))
}

func (w watched) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	began := time.Now()
	return w.tell(opFallocate, began, w.RawFileSystem.Fallocate(cancel, in))
}

func (w watched) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	return w.tell(opOpendir, began, w.RawFileSystem.OpenDir(cancel, in, out))
}

func (w watched) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	return w.tell(opReaddir, began, w.RawFileSystem.ReadDir(cancel, in, out))
}

func (w watched) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	return w.tell(opReaddirplus, began, w.RawFileSystem.ReadDirPlus(cancel, in, out))
}

func (w watched) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	return w.tell(opFsyncdir, began, w.RawFileSystem.FsyncDir(cancel, in))
}

func (w watched) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	began := time.Now()
	return w.tell(opStatfs, began, w.RawFileSystem.StatFs(cancel, header, out))
}

func (w watched) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string, to []byte) (uint32, fuse.Status) {
	began := time.Now()
	size, status := w.RawFileSystem.GetXAttr(cancel, header, attr, to)
	return size, w.tell(opGetxattr, began, status)
}

func (w watched) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, to []byte) (uint32, fuse.Status) {
	began := time.Now()
	size, status := w.RawFileSystem.ListXAttr(cancel, header, to)
	return size, w.tell(opListxattr, began, status)
}

func (w watched) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	began := time.Now()
	n, status := w.RawFileSystem.Write(cancel, in, data)
	return n, w.tell(opWrite, began, status)
}

func (w watched) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	began := time.Now()
	n, status := w.RawFileSystem.CopyFileRange(cancel, in)
	return n, w.tell(opCopyFileRange, began, status)
}
