package conformance

import (
	"bytes"
	"errors"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var locks = group{"Locks and notices", []row{
	{"flock", "by the kernel, on one host; here another has the lock", syscall.EWOULDBLOCK, func(p place) error {
		return twice(p.image, func(first, second int) error {
			if err := syscall.Flock(first, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				return wrong(true, "%v", err)
			}
			return syscall.Flock(second, syscall.LOCK_EX|syscall.LOCK_NB)
		})
	}},
	{"fcntl F_SETLK, F_OFD_SETLK, lockf", "by the kernel, on one host; here another has the lock", syscall.EAGAIN, func(p place) error {
		return twice(p.image, func(first, second int) error {
			lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 10}
			if err := unix.FcntlFlock(uintptr(first), unix.F_OFD_SETLK, &lock); err != nil {
				return wrong(true, "%v", err)
			}
			return unix.FcntlFlock(uintptr(second), unix.F_OFD_SETLK, &lock)
		})
	}},
	{"fcntl F_SETLEASE", "by the kernel, on one host", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
				return err
			}
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
			return err
		})
	}},
	{"inotify", "by the kernel: what is done through this mount", 0, func(p place) error {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return err
		}
		_, err = unix.InotifyAddWatch(fd, p.dir, unix.IN_CREATE)
		err = errors.Join(err, with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, nothing))
		events := make([]byte, 1<<16)
		n, rerr := unix.Read(fd, events)
		told := bytes.Contains(events[:max(n, 0)], []byte(filepath.Base(p.fresh)))
		return errors.Join(err, rerr, wrong(!told, "it told nothing of the new file"), unix.Close(fd))
	}},
}}

var others = group{"Others", []row{
	{"ioctl FS_IOC_FIEMAP", "no", syscall.EOPNOTSUPP, func(p place) error {
		const fiemap = 0xc020660b // FS_IOC_FIEMAP
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			var request [32]byte
			request[15] = 1 // of fm_length: more than the file has
			return ioctl(fd, fiemap, unsafe.Pointer(&request))
		})
	}},
	{"ioctl of anything else", "no", syscall.ENOTTY, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			return err
		})
	}},
	{"poll, select", "always ready", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return errors.Join(err, wrong(n != 1, "%d files are ready", n))
		})
	}},
	{"io_submit", "by the kernel, which reads and writes", 0, func(p place) error { return submits(p.image) }},
}}

// twice opens a file twice, as two programs do.
func twice(path string, do func(first, second int) error) error {
	return with(path, syscall.O_RDWR, func(first int) error {
		return with(path, syscall.O_RDWR, func(second int) error { return do(first, second) })
	})
}

// submits reads a file by Linux's asynchronous requests.
func submits(path string) error {
	return with(path, syscall.O_RDONLY, func(fd int) error {
		var ctx uintptr
		if _, _, errno := syscall.Syscall(syscall.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&ctx)), 0); errno != 0 {
			return errno
		}
		got := make([]byte, page)
		// struct iocb of linux/aio_abi.h
		request := struct {
			data           uint64
			key, flags     uint32
			opcode         uint16
			priority       int16
			fd             uint32
			buf            *byte
			n              uint64
			off            int64
			reserved       uint64
			iflags, eventf uint32
		}{fd: uint32(fd), buf: &got[0], n: page, off: page}
		list := []unsafe.Pointer{unsafe.Pointer(&request)}
		_, _, errno := syscall.Syscall(syscall.SYS_IO_SUBMIT, ctx, 1, uintptr(unsafe.Pointer(&list[0])))
		if errno != 0 {
			return errno
		}
		var event struct {
			data, object uint64
			result, more int64
		}
		_, _, errno = syscall.Syscall6(syscall.SYS_IO_GETEVENTS, ctx, 1, 1, uintptr(unsafe.Pointer(&event)), 0, 0)
		if errno != 0 {
			return errno
		}
		_, _, errno = syscall.Syscall(syscall.SYS_IO_DESTROY, ctx, 0, 0)
		return errors.Join(wrong(errno != 0, "io_destroy: %v", errno),
			wrong(event.result != page || !bytes.Equal(got, content()[page:2*page]), "it gave %d", event.result))
	})
}
