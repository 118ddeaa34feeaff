package conformance

import (
	"bytes"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

var bytesOf = group{"Bytes", []row{
	{"read, pread, readv, preadv", "fetch what is missing", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			a, b := make([]byte, 100), make([]byte, 200)
			n, err := unix.Preadv(fd, [][]byte{a, b}, 50)
			err = errors.Join(err, wrong(n != 300 || !bytes.Equal(append(a, b...), content()[50:350]), "preadv gave %d", n))
			n, rerr := syscall.Pread(fd, a, int64(len(content())))
			return errors.Join(err, rerr, wrong(n != 0, "%d bytes behind the end", n))
		})
	}},
	{"read of a file that is open for writing only", "by the kernel", syscall.EBADF, func(p place) error {
		return with(p.image, syscall.O_WRONLY, func(fd int) error {
			_, err := syscall.Read(fd, make([]byte, 1))
			return err
		})
	}},
	{"write, pwrite, writev, pwritev", "into the draft; what lies between is zeros", 0, func(p place) error {
		want := append(append(content(), make([]byte, page)...), "far out"...)
		err := with(p.image, syscall.O_RDWR, func(fd int) error {
			_, err := unix.Pwritev(fd, [][]byte{[]byte("far"), []byte(" out")}, int64(len(content())+page))
			return err
		})
		return errors.Join(err, has(p.image, want), p.stored(p.image, want))
	}},
	{"write to a file that is open for reading only", "by the kernel", syscall.EBADF, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			_, err := syscall.Write(fd, []byte("x"))
			return err
		})
	}},
	{"lseek with SEEK_SET, SEEK_CUR, SEEK_END", "by the kernel, from the size of the file", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			end, err := syscall.Seek(fd, -5, unix.SEEK_END)
			got := make([]byte, 10)
			n, rerr := syscall.Read(fd, got)
			return errors.Join(err, rerr, wrong(end != int64(len(content())-5) || !bytes.Equal(got[:n], content()[end:]), "at %d: %d bytes", end, n))
		})
	}},
	{"lseek with SEEK_DATA, SEEK_HOLE", "finds the holes of a draft; an image is all data", 0, func(p place) error {
		ends := func(fd int, whence int, from, want int64) error {
			got, err := syscall.Seek(fd, from, whence)
			return errors.Join(err, wrong(got != want, "whence %d from %d: %d, want %d", whence, from, got, want))
		}
		err := with(p.image, syscall.O_RDONLY, func(fd int) error {
			return errors.Join(ends(fd, unix.SEEK_DATA, 5, 5), ends(fd, unix.SEEK_HOLE, 5, int64(len(content()))))
		})
		return errors.Join(err, with(p.fresh, syscall.O_RDWR|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Pwrite(fd, content(), 1<<20)
			return errors.Join(err, ends(fd, unix.SEEK_DATA, 0, 1<<20), ends(fd, unix.SEEK_HOLE, 0, 0))
		}))
	}},
	{"lseek with SEEK_DATA behind the end", "", syscall.ENXIO, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			_, err := syscall.Seek(fd, 1<<20, unix.SEEK_DATA)
			return err
		})
	}},
	{"mmap with MAP_PRIVATE", "reads as read does; what is stored is the process's", 0, func(p place) error {
		return errors.Join(mapped(p.image, syscall.O_RDONLY, unix.MAP_PRIVATE, func(mem []byte) error {
			err := wrong(!bytes.Equal(mem, content()), "other bytes")
			mem[0] = 'x'
			return err
		}), has(p.image, content()))
	}},
	{"mmap with MAP_SHARED, msync", "what is stored is uploaded with the close, or when the mapping ends", 0, func(p place) error {
		want := content()
		want[5] = 'x'
		return errors.Join(mapped(p.image, syscall.O_RDWR, unix.MAP_SHARED, func(mem []byte) error {
			mem[5] = 'x'
			return unix.Msync(mem, unix.MS_SYNC)
		}), has(p.image, want))
	}},
	{"mmap with MAP_SHARED and PROT_WRITE of a file that is open for reading only", "by the kernel", syscall.EACCES, func(p place) error {
		return mapped(p.image, syscall.O_RDONLY, unix.MAP_SHARED, func([]byte) error { return nil })
	}},
	{"copy_file_range", "the kernel reads and writes", 0, func(p place) error {
		return errors.Join(between(p.image, p.fresh, func(in, out int) error {
			for left := len(content()); left > 0; {
				n, err := unix.CopyFileRange(in, nil, out, nil, left, 0)
				if err != nil || n == 0 {
					return errors.Join(err, wrong(n == 0, "%d bytes were left", left))
				}
				left -= n
			}
			return nil
		}), has(p.fresh, content()))
	}},
	{"sendfile, splice", "the kernel reads and writes", 0, func(p place) error {
		return errors.Join(between(p.image, p.fresh, func(in, out int) error {
			n, err := unix.Sendfile(out, in, nil, len(content()))
			return errors.Join(err, wrong(n != len(content()), "%d bytes", n))
		}), has(p.fresh, content()))
	}},
	{"ioctl FICLONE", "no: the service cannot share bytes", syscall.EOPNOTSUPP, func(p place) error {
		return between(p.image, p.fresh, func(in, out int) error { return unix.IoctlFileClone(out, in) })
	}},
	{"posix_fadvise, readahead", "by the kernel", 0, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			_, _, errno := syscall.Syscall(syscall.SYS_READAHEAD, uintptr(fd), 0, page)
			return errors.Join(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED), wrong(errno != 0, "readahead: %v", errno))
		})
	}},
	{"fsync, fdatasync", "put the draft on the local disk; they do not upload", 0, func(p place) error {
		return with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Write(fd, content())
			return errors.Join(err, syscall.Fsync(fd), syscall.Fdatasync(fd), p.unknown(p.fresh))
		})
	}},
	{"fsync of a file that is open for reading", "does nothing", 0, func(p place) error { return with(p.image, syscall.O_RDONLY, syscall.Fsync) }},
	{"sync_file_range, syncfs, sync", "write the kernel's pages to the draft", 0, func(p place) error {
		return with(p.fresh, syscall.O_RDWR|syscall.O_CREAT, func(fd int) error {
			_, err := syscall.Write(fd, content())
			return errors.Join(err, syscall.SyncFileRange(fd, 0, page, unix.SYNC_FILE_RANGE_WRITE), unix.Syncfs(fd))
		})
	}},
}}

// mapped opens a file and maps all of it, to be stored to.
func mapped(path string, flags, how int, do func(mem []byte) error) error {
	return with(path, flags, func(fd int) error {
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err != nil {
			return err
		}
		mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, how)
		if err != nil {
			return err
		}
		return errors.Join(do(mem), unix.Munmap(mem))
	})
}

// between opens one file to read and a new one to write.
func between(from, to string, do func(in, out int) error) error {
	return with(from, syscall.O_RDONLY, func(in int) error {
		return with(to, syscall.O_WRONLY|syscall.O_CREAT, func(out int) error { return do(in, out) })
	})
}
