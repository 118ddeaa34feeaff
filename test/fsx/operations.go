package main

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

func (e *exerciser) write(i int) error {
	off, n := e.span(most - piece)
	e.note(i, "write %d at %d", n, off)
	p := e.fresh(n)
	done, err := syscall.Pwrite(e.fd, p, int64(off))
	if err == nil && done != n {
		err = fmt.Errorf("%d of %d bytes were written", done, n)
	}
	e.put(p, off)
	return err
}

func (e *exerciser) read(i int) error {
	off, n := e.within()
	e.note(i, "read %d at %d", n, off)
	return e.compare(off, n)
}

// mapped maps the pages of a piece, and writes them back if it is told to.
func (e *exerciser) mapped(off, n, how int, back bool, do func(mem []byte) error) error {
	skip := off % page
	mem, err := unix.Mmap(e.fd, int64(off-skip), n+skip, how, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	err = do(mem[skip:])
	if back {
		err = errors.Join(err, unix.Msync(mem, unix.MS_SYNC))
	}
	return errors.Join(err, unix.Munmap(mem))
}

func (e *exerciser) mapRead(i int) error {
	off, n := e.within()
	e.note(i, "read %d at %d, mapped", n, off)
	if n == 0 {
		return nil
	}
	return e.mapped(off, n, unix.PROT_READ, false, func(mem []byte) error { return differ(mem, e.want[off:off+n], off) })
}

// mapWrite stores within the file, which a mapping cannot make longer.
func (e *exerciser) mapWrite(i int) error {
	off, n := e.within()
	back := e.rand.IntN(2) == 0
	e.note(i, "write %d at %d, mapped, msync %v", n, off, back)
	if n == 0 {
		return nil
	}
	p := e.fresh(n)
	e.put(p, off)
	return e.mapped(off, n, unix.PROT_READ|unix.PROT_WRITE, back, func(mem []byte) error {
		copy(mem, p)
		return nil
	})
}

func (e *exerciser) truncate(i int) error {
	size := e.rand.IntN(most)
	e.note(i, "truncate from %d to %d", len(e.want), size)
	e.grow(size)
	e.want = e.want[:size:size]
	return syscall.Ftruncate(e.fd, int64(size))
}

func (e *exerciser) punch(i int) error {
	off, n := e.span(len(e.want))
	e.note(i, "punch a hole of %d at %d", n, off)
	e.clear(off, n)
	return syscall.Fallocate(e.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
}

func (e *exerciser) zero(i int) error {
	off, n := e.span(most - piece)
	e.note(i, "zero %d at %d", n, off)
	e.grow(off + n)
	e.clear(off, n)
	return syscall.Fallocate(e.fd, unix.FALLOC_FL_ZERO_RANGE, int64(off), int64(n))
}

// clear makes what is there of a piece zeros.
func (e *exerciser) clear(off, n int) {
	clear(e.want[min(off, len(e.want)):min(off+n, len(e.want))])
}

func (e *exerciser) allocate(i int) error {
	off, n := e.span(most - piece)
	e.note(i, "reserve %d at %d", n, off)
	e.grow(off + n)
	return syscall.Fallocate(e.fd, 0, int64(off), int64(n))
}

func (e *exerciser) sync(i int) error {
	e.note(i, "fsync")
	return syscall.Fsync(e.fd)
}

// drop makes the next read ask the filesystem.
func (e *exerciser) drop(i int) error {
	e.note(i, "drop the kernel's pages")
	return errors.Join(syscall.Fsync(e.fd), unix.Fadvise(e.fd, 0, 0, unix.FADV_DONTNEED))
}
