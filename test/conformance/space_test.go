package conformance

import (
	"errors"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

var space = group{"Space", []row{
	{"truncate", "changes the length, and uploads before it answers; what is added is zeros", 0, func(p place) error {
		return errors.Join(
			syscall.Truncate(p.image, 100), has(p.image, content()[:100]), p.stored(p.image, content()[:100]),
			syscall.Truncate(p.other, int64(len(more())+10)), has(p.other, append(more(), make([]byte, 10)...)))
	}},
	{"ftruncate", "changes the draft", 0, func(p place) error {
		return errors.Join(with(p.image, syscall.O_WRONLY, func(fd int) error { return syscall.Ftruncate(fd, 100) }), has(p.image, content()[:100]))
	}},
	{"ftruncate of a file that is open for reading only", "by the kernel", syscall.EINVAL, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error { return syscall.Ftruncate(fd, 100) })
	}},
	{"fallocate, posix_fallocate", "makes the draft as long as asked", 0, func(p place) error {
		return allocates(p, 0, 2*page, 10*page, append(content(), make([]byte, 12*page-len(content()))...))
	}},
	{"fallocate with FALLOC_FL_KEEP_SIZE", "accepted", 0, func(p place) error {
		return allocates(p, unix.FALLOC_FL_KEEP_SIZE, 0, 10*page, content())
	}},
	{"fallocate with FALLOC_FL_PUNCH_HOLE", "zeros", 0, func(p place) error {
		return allocates(p, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, page, page, zeroed(page, page))
	}},
	{"fallocate with FALLOC_FL_ZERO_RANGE", "zeros", 0, func(p place) error {
		return allocates(p, unix.FALLOC_FL_ZERO_RANGE, 100, 50, zeroed(100, 50))
	}},
	{"truncate, ftruncate, write, fallocate far out", "a draft is a local file: 16 TiB at most on ext4", syscall.EFBIG, tooFar},
	{"fallocate with FALLOC_FL_COLLAPSE_RANGE", "no", syscall.EOPNOTSUPP, func(p place) error {
		return allocates(p, unix.FALLOC_FL_COLLAPSE_RANGE, 0, page, nil)
	}},
	{"fallocate with FALLOC_FL_INSERT_RANGE", "no", syscall.EOPNOTSUPP, func(p place) error {
		return allocates(p, unix.FALLOC_FL_INSERT_RANGE, 0, page, nil)
	}},
	{"fallocate with FALLOC_FL_UNSHARE_RANGE", "no", syscall.EOPNOTSUPP, func(p place) error {
		return allocates(p, unix.FALLOC_FL_UNSHARE_RANGE, 0, page, nil)
	}},
}}

// allocates does something with the space of the image's file, which then has this.
func allocates(p place, mode uint32, off, n int64, want []byte) error {
	err := with(p.image, syscall.O_RDWR, func(fd int) error { return syscall.Fallocate(fd, mode, off, n) })
	if err != nil {
		return err
	}
	return has(p.image, want)
}

// zeroed is the content with zeros somewhere.
func zeroed(off, n int) []byte {
	c := content()
	clear(c[off : off+n])
	return c
}

// tooFar makes a file as long as no file of ext4 can be, where a local one cannot be so
// long either.
func tooFar(p place) error {
	const far = 1 << 62 // bytes
	local := filepath.Join(filepath.Dir(p.dir), "far")
	if err := with(local, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error { return syscall.Ftruncate(fd, far) }); err == nil {
		return syscall.EFBIG // this machine's disk takes it
	}
	err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, func(fd int) error {
		_, werr := syscall.Pwrite(fd, []byte("x"), far)
		for what, err := range map[string]error{
			"write": werr, "ftruncate": syscall.Ftruncate(fd, far), "fallocate": syscall.Fallocate(fd, 0, far, 1), "truncate": syscall.Truncate(p.image, far),
		} {
			if !errors.Is(err, syscall.EFBIG) {
				return wrong(true, "%s: %v", what, err)
			}
		}
		return syscall.Ftruncate(fd, 0) // what was refused is not missing any more
	})
	if err != nil {
		return wrong(true, "%v", err) // whatever it is, it is none of those that were asked for
	}
	return syscall.EFBIG
}
