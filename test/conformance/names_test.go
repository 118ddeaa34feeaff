package conformance

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

var names = group{"Names", []row{
	{"rename", "changes the name of the image; its id stays", 0, func(p place) error {
		before, err := id(p.image)
		if err != nil {
			return err
		}
		if err := syscall.Rename(p.image, p.fresh); err != nil {
			return err
		}
		after, err := id(p.fresh)
		return errors.Join(err, wrong(before != after, "it was %s and is %s", before, after), has(p.fresh, content()), missing(p.image))
	}},
	{"rename over another file", "the image takes the name over, and the other is deleted", 0, func(p place) error {
		return errors.Join(syscall.Rename(p.image, p.other), has(p.other, content()), missing(p.image))
	}},
	{"rename of a file that is not there", "", syscall.ENOENT, func(p place) error { return syscall.Rename(p.fresh, p.image) }},
	{"rename to another filesystem", "by the kernel; mv copies", syscall.EXDEV, func(p place) error {
		return syscall.Rename(p.image, filepath.Join(filepath.Dir(p.dir), "out"))
	}},
	{"rename into `.by-id`", "refused: ids are the service's", syscall.EPERM, func(p place) error {
		return syscall.Rename(p.image, filepath.Join(p.dir, ".by-id/name"))
	}},
	{"renameat2 with RENAME_NOREPLACE", "as rename; here the new name is taken", syscall.EEXIST, func(p place) error {
		return unix.Renameat2(unix.AT_FDCWD, p.image, unix.AT_FDCWD, p.other, unix.RENAME_NOREPLACE)
	}},
	{"renameat2 with RENAME_EXCHANGE", "refused: the service cannot", syscall.EINVAL, func(p place) error {
		return unix.Renameat2(unix.AT_FDCWD, p.image, unix.AT_FDCWD, p.other, unix.RENAME_EXCHANGE)
	}},
	{"renameat2 with RENAME_WHITEOUT", "refused: there are no device nodes", syscall.EINVAL, func(p place) error {
		return unix.Renameat2(unix.AT_FDCWD, p.image, unix.AT_FDCWD, p.fresh, unix.RENAME_WHITEOUT)
	}},
	{"unlink", "deletes the image", 0, func(p place) error {
		return errors.Join(syscall.Unlink(p.image), missing(p.image), p.unknown(p.image))
	}},
	{"unlink of an open draft", "the file goes on, and nothing is published", 0, func(p place) error {
		err := with(p.fresh, syscall.O_RDWR|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Pwrite(fd, content(), 0)
			got := make([]byte, len(content()))
			err = errors.Join(err, syscall.Unlink(p.fresh))
			n, rerr := syscall.Pread(fd, got, 0)
			return errors.Join(err, rerr, wrong(n != len(got), "%d bytes were left", n))
		})
		return errors.Join(err, missing(p.fresh), p.unknown(p.fresh))
	}},
	{"unlink of a file that is not there", "", syscall.ENOENT, func(p place) error { return syscall.Unlink(p.fresh) }},
	{"unlink in `.by-id`", "refused: ids are the service's", syscall.EPERM, func(p place) error {
		name, err := id(p.image)
		if err != nil {
			return err
		}
		return syscall.Unlink(filepath.Join(p.dir, ".by-id", name))
	}},
	{"link", "refused: an image has one name", syscall.EPERM, func(p place) error { return syscall.Link(p.image, p.fresh) }},
	{"symlink", "refused: an image is a regular file", syscall.EPERM, func(p place) error { return syscall.Symlink("x", p.fresh) }},
	{"readlink", "by the kernel: no file is a link", syscall.EINVAL, func(p place) error {
		_, err := syscall.Readlink(p.image, make([]byte, 10))
		return err
	}},
	{"mkdir", "refused: there is one directory", syscall.EPERM, func(p place) error { return syscall.Mkdir(p.fresh, 0o755) }},
	{"rmdir of a file", "by the kernel", syscall.ENOTDIR, func(p place) error { return syscall.Rmdir(p.image) }},
	{"rmdir of `.by-id`", "refused", syscall.EPERM, func(p place) error { return syscall.Rmdir(filepath.Join(p.dir, ".by-id")) }},
	{"mknod of a regular file", "makes a file as `creat` does, and opens nothing", 0, func(p place) error {
		err := syscall.Mknod(p.fresh, syscall.S_IFREG|0o600, 0)
		return errors.Join(err, with(p.fresh, syscall.O_WRONLY, func(fd int) error {
			_, err := syscall.Write(fd, content())
			return err
		}), has(p.fresh, content()))
	}},
	{"mkfifo", "refused: an image is a regular file", syscall.EPERM, func(p place) error { return syscall.Mkfifo(p.fresh, 0o600) }},
	{"bind of a Unix socket", "refused: an image is a regular file", syscall.EPERM, func(p place) error {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		dir, err := syscall.Open(p.dir, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // a socket's path is short
		if err != nil {
			return err
		}
		defer syscall.Close(dir)
		return errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: procPath(dir) + "/" + filepath.Base(p.fresh)}), syscall.Close(fd))
	}},
	{"a name of 256 bytes", "", syscall.ENAMETOOLONG, func(p place) error {
		return with(filepath.Join(p.dir, strings.Repeat("n", 256)), syscall.O_WRONLY|syscall.O_CREAT, nothing)
	}},
	{"creat of a name that the service cannot hold", "refused: an emoji, bytes that are not UTF-8, `%41`", syscall.EINVAL, func(p place) error {
		for _, name := range []string{"\U0001f600", "\xff", "a%41"} {
			if err := with(filepath.Join(p.dir, name), syscall.O_WRONLY|syscall.O_CREAT, nothing); !errors.Is(err, syscall.EINVAL) {
				return wrong(true, "%q: %v", name, err)
			}
		}
		return syscall.EINVAL
	}},
	{"creat in `.by-id`", "refused: ids are the service's", syscall.EPERM, func(p place) error {
		return with(filepath.Join(p.dir, ".by-id/name"), syscall.O_WRONLY|syscall.O_CREAT, nothing)
	}},
}}

func nothing(int) error { return nil }
