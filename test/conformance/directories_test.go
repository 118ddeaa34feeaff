package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var directories = group{"Directories", []row{
	{"opendir, readdir, closedir", "lists the images", 0, func(p place) error {
		list, err := os.ReadDir(p.dir)
		return errors.Join(err, wrong(!slices.ContainsFunc(list, func(e os.DirEntry) bool {
			return e.Name() == filepath.Base(p.image) && e.Type().IsRegular()
		}), "it does not list %s", p.image))
	}},
	{"rewinddir", "lists anew", 0, func(p place) error {
		d, err := os.Open(p.dir)
		if err != nil {
			return err
		}
		defer d.Close()
		first, err := d.Readdirnames(-1)
		if err != nil {
			return err
		}
		if err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, nothing); err != nil {
			return err
		}
		_, err = d.Seek(0, 0)
		then, rerr := d.Readdirnames(-1)
		return errors.Join(err, rerr, wrong(slices.Contains(first, filepath.Base(p.fresh)) || !slices.Contains(then, filepath.Base(p.fresh)), "%d, then %d names", len(first), len(then)))
	}},
	{"telldir, seekdir", "goes on at a place of the same listing", 0, func(p place) error {
		return with(p.dir, syscall.O_RDONLY, func(fd int) error {
			buf := make([]byte, 200) // some entries
			if _, err := unix.Getdents(fd, buf); err != nil {
				return err
			}
			here, err := unix.Seek(fd, 0, unix.SEEK_CUR)
			if err != nil {
				return err
			}
			next := func() (string, error) {
				n, err := unix.Getdents(fd, buf)
				_, _, found := unix.ParseDirent(buf[:max(n, 0)], 1, nil)
				return first(found), err
			}
			want, err := next()
			if err != nil {
				return err
			}
			_, err = unix.Seek(fd, here, unix.SEEK_SET)
			got, nerr := next()
			return errors.Join(err, nerr, wrong(got != want || got == "", "there was %q, and is %q", want, got))
		})
	}},
	{"read of a directory", "by the kernel", syscall.EISDIR, func(p place) error {
		return with(p.dir, syscall.O_RDONLY, func(fd int) error {
			_, err := syscall.Read(fd, make([]byte, 10))
			return err
		})
	}},
	{"open of a directory for writing", "by the kernel", syscall.EISDIR, func(p place) error { return with(p.dir, syscall.O_WRONLY, nothing) }},
	{"open of a file with O_DIRECTORY", "by the kernel", syscall.ENOTDIR, func(p place) error { return with(p.image, syscall.O_DIRECTORY, nothing) }},
	{"openat, fstatat, renameat, unlinkat", "as by a path", 0, func(p place) error {
		return with(p.dir, syscall.O_RDONLY|syscall.O_DIRECTORY, func(dir int) error {
			fd, err := unix.Openat(dir, filepath.Base(p.image), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			var st unix.Stat_t
			err = errors.Join(unix.Close(fd), unix.Fstatat(dir, filepath.Base(p.image), &st, 0))
			err = errors.Join(err, unix.Renameat(dir, filepath.Base(p.image), dir, filepath.Base(p.fresh)), unix.Unlinkat(dir, filepath.Base(p.fresh), 0))
			return errors.Join(err, wrong(st.Size != int64(len(content())), "%d bytes", st.Size), missing(p.fresh))
		})
	}},
	{"unlinkat with AT_REMOVEDIR of a file", "by the kernel", syscall.ENOTDIR, func(p place) error {
		return unix.Unlinkat(unix.AT_FDCWD, p.image, unix.AT_REMOVEDIR)
	}},
	{"chdir, fchdir", "by the kernel", 0, func(p place) error {
		was, err := os.Getwd()
		if err != nil {
			return err
		}
		err = os.Chdir(p.dir)
		return errors.Join(err, has(filepath.Base(p.image), content()), os.Chdir(was))
	}},
	{"fsync of a directory", "does nothing: names are at the service when an operation ends", 0, func(p place) error { return with(p.dir, syscall.O_RDONLY, syscall.Fsync) }},
	{"chmod, chown, utimensat of the mountpoint", "held in memory until the unmount", 0, func(p place) error {
		var st syscall.Stat_t
		err := errors.Join(syscall.Chmod(p.dir, 0o750), syscall.Stat(p.dir, &st), syscall.Chmod(p.dir, 0o755))
		return errors.Join(err, wrong(st.Mode&0o777 != 0o750, "its mode is %o", st.Mode))
	}},
	{"statfs, statvfs, pathconf", "the quota of the project, else 1 PiB; names have 255 bytes at most", 0, func(p place) error {
		var st syscall.Statfs_t
		err := syscall.Statfs(p.dir, &st)
		return errors.Join(err, wrong(st.Namelen != 255 || st.Blocks == 0, "%+v", st))
	}},
}}

func first(of []string) string {
	if len(of) == 0 {
		return ""
	}
	return of[0]
}

// procPath is a path of an open file.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// ioctl passes a pointer.
func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
