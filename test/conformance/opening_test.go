package conformance

import (
	"bytes"
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

var opening = group{"Opening and closing", []row{
	{"open to read", "from memory; bytes come when they are read", 0, func(p place) error { return has(p.image, content()) }},
	{"open of a file that is not there", "", syscall.ENOENT, func(p place) error { return with(p.fresh, syscall.O_RDONLY, nothing) }},
	{"open with O_CREAT, creat", "begins a draft, which is an image when it is closed; the mode is not used: 0644", 0, func(p place) error {
		err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Write(fd, content())
			return errors.Join(err, p.unknown(p.fresh))
		})
		var st syscall.Stat_t
		err = errors.Join(err, syscall.Stat(p.fresh, &st))
		return errors.Join(err, wrong(st.Mode != syscall.S_IFREG|0o644, "its mode is %o", st.Mode), p.stored(p.fresh, content()))
	}},
	{"open with O_CREAT and O_EXCL", "here the name is taken", syscall.EEXIST, func(p place) error {
		return with(p.image, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, nothing)
	}},
	{"open with O_TRUNC", "begins a new file, which replaces the image when it is closed", 0, func(p place) error {
		err := with(p.image, syscall.O_WRONLY|syscall.O_TRUNC, func(fd int) error {
			_, err := syscall.Write(fd, more())
			return err
		})
		return errors.Join(err, has(p.image, more()), p.stored(p.image, more()))
	}},
	{"open with O_APPEND", "each write goes to the end; the whole image is uploaded", 0, func(p place) error {
		err := with(p.image, syscall.O_WRONLY|syscall.O_APPEND, func(fd int) error {
			_, err := syscall.Write(fd, []byte("end"))
			return err
		})
		return errors.Join(err, has(p.image, append(content(), "end"...)))
	}},
	{"open with O_DIRECT", "accepted", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY|syscall.O_DIRECT, func(fd int) error {
			mem, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			n, err := syscall.Pread(fd, mem, page)
			err = errors.Join(err, wrong(!bytes.Equal(mem[:n], content()[page:2*page]), "%d bytes, and other ones", n))
			return errors.Join(err, unix.Munmap(mem))
		})
	}},
	{"open with O_SYNC, O_DSYNC", "each write is put on the local disk; the upload comes with the close", 0, func(p place) error {
		err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_SYNC, func(fd int) error {
			_, err := syscall.Write(fd, content())
			return err
		})
		return errors.Join(err, has(p.fresh, content()))
	}},
	{"open with O_NOFOLLOW, O_NOATIME, O_NONBLOCK", "no effect", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NOATIME|syscall.O_NONBLOCK, func(fd int) error {
			got := make([]byte, 100)
			n, err := syscall.Read(fd, got)
			return errors.Join(err, wrong(!bytes.Equal(got[:n], content()[:100]), "%d bytes", n))
		})
	}},
	{"open with O_PATH", "by the kernel", 0, func(p place) error {
		return with(p.image, unix.O_PATH, func(fd int) error { return has(procPath(fd), content()) })
	}},
	{"open with O_TMPFILE", "refused: an image has a name", syscall.EOPNOTSUPP, func(p place) error { return with(p.dir, unix.O_TMPFILE|syscall.O_RDWR, nothing) }},
	{"name_to_handle_at, open_by_handle_at", "by the kernel, as long as it knows the file", 0, func(p place) error {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, p.image, 0)
		if err != nil {
			return err
		}
		return with(p.dir, syscall.O_RDONLY, func(dir int) error {
			fd, err := unix.OpenByHandleAt(dir, h, unix.O_RDONLY)
			if err != nil {
				return err
			}
			return errors.Join(has(procPath(fd), content()), unix.Close(fd))
		})
	}},
	{"execve", "by the kernel", 0, func(p place) error {
		err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Write(fd, []byte("#!/bin/sh\nexit 7\n"))
			return err
		})
		if err := errors.Join(err, syscall.Chmod(p.fresh, 0o755)); err != nil {
			return err
		}
		var ended *exec.ExitError
		err = exec.Command(p.fresh).Run()
		return wrong(!errors.As(err, &ended) || ended.ExitCode() != 7, "it ended with %v", err)
	}},
	{"close", "uploads what was written, and says how that ended", 0, func(p place) error {
		return errors.Join(with(p.image, syscall.O_RDWR, func(fd int) error {
			_, err := syscall.Pwrite(fd, []byte("new"), 5)
			return err
		}), p.stored(p.image, content()))
	}},
	{"dup, dup2, fork", "share the file; a close of the opener uploads, one of a child does not", 0, func(p place) error {
		return with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error {
			again, err := syscall.Dup(fd)
			if err != nil {
				return err
			}
			_, err = syscall.Write(fd, content())
			return errors.Join(err, syscall.Close(again), p.stored(p.fresh, content()))
		})
	}},
}}
