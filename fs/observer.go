package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Operation is what the kernel asks for.
type Operation uint8

const (
	opLookup Operation = iota
	opGetattr
	opSetattr
	opGetxattr
	opListxattr
	opSetxattr
	opRemovexattr
	opOpendir
	opReaddir
	opReaddirplus
	opFsyncdir
	opOpen
	opCreate
	opMknod
	opRead
	opWrite
	opLseek
	opFlush
	opFsync
	opRelease
	opFallocate
	opCopyFileRange
	opRename
	opUnlink
	opStatfs
	opMkdir
	opRmdir
	opLink
	opSymlink
	opTmpfile
)

// operations are their names, as FUSE calls them.
var operations = [...]string{
	opLookup:        "lookup",
	opGetattr:       "getattr",
	opSetattr:       "setattr",
	opGetxattr:      "getxattr",
	opListxattr:     "listxattr",
	opSetxattr:      "setxattr",
	opRemovexattr:   "removexattr",
	opOpendir:       "opendir",
	opReaddir:       "readdir",
	opReaddirplus:   "readdirplus",
	opFsyncdir:      "fsyncdir",
	opOpen:          "open",
	opCreate:        "create",
	opMknod:         "mknod",
	opRead:          "read",
	opWrite:         "write",
	opLseek:         "lseek",
	opFlush:         "flush",
	opFsync:         "fsync",
	opRelease:       "release",
	opFallocate:     "fallocate",
	opCopyFileRange: "copy_file_range",
	opRename:        "rename",
	opUnlink:        "unlink",
	opStatfs:        "statfs",
	opMkdir:         "mkdir",
	opRmdir:         "rmdir",
	opLink:          "link",
	opSymlink:       "symlink",
	opTmpfile:       "tmpfile",
}

// Operations returns the names of all operations, each at its own number.
func Operations() []string { return operations[:] }

// Observer hears of each request of the kernel that has been answered: what it asked for,
// what the answer was (0: success), and how long it took. What the kernel does by itself
// (passthrough, its page cache) it does not hear of. It is called by many goroutines at once
// and must not wait.
type Observer func(o Operation, errno syscall.Errno, took time.Duration)

// watched is a filesystem whose answers an Observer hears of.
type watched struct {
	fuse.RawFileSystem
	observe Observer
}

func (w watched) tell(o Operation, began time.Time, status fuse.Status) fuse.Status {
	w.observe(o, syscall.Errno(status), time.Since(began))
	return status
}

// Read is most of what is asked for.
func (w watched) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	began := time.Now()
	result, status := w.RawFileSystem.Read(cancel, in, buf)
	return result, w.tell(opRead, began, status)
}

// Writev is told of unless go-fuse calls Write after it.
func (w watched) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	began := time.Now()
	n, status := w.RawFileSystem.Writev(cancel, in, data)
	if status != fuse.ENOSYS {
		w.tell(opWrite, began, status)
	}
	return n, status
}

// Release has no answer.
func (w watched) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	began := time.Now()
	w.RawFileSystem.Release(cancel, in)
	w.tell(opRelease, began, fuse.OK)
}
