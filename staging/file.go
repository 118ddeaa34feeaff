package staging

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// control calls fn with the file's descriptor, which stays open meanwhile, again
// as long as a signal interrupts it. A closed file is os.ErrClosed.
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
	if err != nil { // its own error for a closed file is no os.ErrClosed
		return errors.Join(os.ErrClosed, err)
	}
	return callErr
}

// lock takes the lock of a draft by its open data file, without waiting:
// LOCK_EX to have it, LOCK_SH only to look (several may look at once). It reports
// false when another open file, of this process or another, is in the way.
func lock(f *os.File, how int) (bool, error) {
	err := control(f, func(fd int) error { return unix.Flock(fd, how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}

// pwrite writes p at off, going on after short writes, and returns how much was
// written also when it fails. (os.File.WriteAt forgets the part that fitted
// before the disk was full.)
func pwrite(f *os.File, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m := 0
		err := control(f, func(fd int) (err error) {
			m, err = unix.Pwrite(fd, p[n:], off+int64(n))
			return err
		})
		if err != nil {
			return n, os.NewSyscallError("pwrite", err)
		}
		if m <= 0 {
			return n, io.ErrShortWrite
		}
		n += m
	}
	return n, nil
}

func fallocate(f *os.File, mode uint32, off, size int64) error {
	return os.NewSyscallError("fallocate", control(f, func(fd int) error {
		return unix.Fallocate(fd, mode, off, size)
	}))
}

// writtenSoFar is Store.written. sync_file_range(2) waits for a range, here for one
// behind the end of every file, and tells a failure of any: once for each open file, as
// fsync does. A kernel without it, gVisor's for one, is asked for an fsync.
func writtenSoFar(f *os.File) error {
	const behind = 1 << 60 // bytes
	err := control(f, func(fd int) error { return unix.SyncFileRange(fd, behind, 1, unix.SYNC_FILE_RANGE_WAIT_BEFORE) })
	if errors.Is(err, unix.ENOSYS) {
		return f.Sync()
	}
	return os.NewSyscallError("sync_file_range", err)
}

// measure returns a data file's length and the bytes it occupies.
func measure(f *os.File) (size, stored int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, 0, errors.New("not a regular file")
	}
	const statBlock = 512 // bytes: the unit of st_blocks, whatever the filesystem's own
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		stored = stat.Blocks * statBlock
	}
	return info.Size(), stored, nil
}

// linked reports whether the open file still has a name.
func linked(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 0
}
