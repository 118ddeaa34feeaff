package disk

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// system is what a store asks of the kernel and tests replace: time, free space,
// and each step that changes a file.
type system struct {
	now   func() time.Time
	write func(f *os.File, p []byte, off int64) error
	punch func(f *os.File, off, n int64) error
	sync  func(f *os.File) error
	// free returns the bytes that this user may still write on the filesystem of
	// f, and its size.
	free func(f *os.File) (avail, total int64, err error)
}

func realSystem() system {
	return system{now: time.Now, write: pwrite, punch: punch, sync: (*os.File).Sync, free: free}
}

func pwrite(f *os.File, p []byte, off int64) error {
	_, err := f.WriteAt(p, off)
	return err
}

// punch makes [off, off+n) a hole. The file keeps its size.
func punch(f *os.File, off, n int64) error {
	return os.NewSyscallError("fallocate", control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	}))
}

func free(f *os.File) (avail, total int64, err error) {
	var st unix.Statfs_t
	err = control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	if err != nil {
		return 0, 0, os.NewSyscallError("fstatfs", err)
	}
	unit := st.Frsize
	if unit <= 0 {
		unit = st.Bsize
	}
	return int64(st.Bavail) * unit, int64(st.Blocks) * unit, nil
}

// control calls fn with the file's descriptor, which stays open meanwhile, again
// as long as a signal interrupts it.
func control(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = conn.Control(func(fd uintptr) {
		for callErr = fn(int(fd)); errors.Is(callErr, unix.EINTR); callErr = fn(int(fd)) {
		}
	})
	return errors.Join(err, callErr)
}

// isFull reports that a filesystem or a quota has no room left.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// stat returns what fstat says of an open file.
func stat(f *os.File) (*syscall.Stat_t, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return st, nil
}

// verifiedAs returns what identifies the state of a data file.
func verifiedAs(st *syscall.Stat_t) verified {
	return verified{Inode: st.Ino, Modified: st.Mtim.Nano(), Changed: st.Ctim.Nano()}
}
