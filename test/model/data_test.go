package model

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// span draws where something is done with a handle, aligned where it must be.
func span(rt *rapid.T, h *handle) (off, n int) {
	off, n = sizes.Draw(rt, "off"), lengths.Draw(rt, "len")
	if h.direct() {
		off, n = aligned(off), max(aligned(n), page)
	}
	return off, n
}

// buffer is memory aligned to a page, as O_DIRECT wants it.
func buffer(n int) []byte {
	p := make([]byte, n+page)
	skip := page - int(uintptr(unsafe.Pointer(unsafe.SliceData(p)))%page)
	return p[skip : skip+n : skip+n]
}

func (w *world) pwrite(rt *rapid.T) {
	h := w.handle(rt)
	off, n := span(rt, h)
	p := buffer(n)
	copy(p, pattern(rapid.Byte().Draw(rt, "seed"), n))
	w.both(fmt.Sprintf("pwrite %d at %d to %v", n, off, h), h.file, func(s side) result {
		return resultOf(syscall.Pwrite(h.fd[s], p, int64(off)))
	})
}

// write writes where the handle is: with O_APPEND, at the end.
func (w *world) write(rt *rapid.T) {
	h := w.handle(rt)
	_, n := span(rt, h)
	p := buffer(n)
	copy(p, pattern(rapid.Byte().Draw(rt, "seed"), n))
	w.both(fmt.Sprintf("write %d to %v", n, h), h.file, func(s side) result {
		return resultOf(syscall.Write(h.fd[s], p))
	})
}

func (w *world) pread(rt *rapid.T) {
	h := w.handle(rt)
	off, n := span(rt, h)
	w.both(fmt.Sprintf("pread %d at %d from %v", n, off, h), h.file, func(s side) result {
		p := buffer(n)
		r := resultOf(syscall.Pread(h.fd[s], p, int64(off)))
		r.data = p[:max(r.n, 0)]
		return r
	})
}

// lseek moves the handle and says where it is then.
func (w *world) lseek(rt *rapid.T) {
	h := w.handle(rt)
	whence := rapid.SampledFrom([]int{unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END}).Draw(rt, "whence")
	off := rapid.SampledFrom([]int{-page, -1, 0, 0, 1, page}).Draw(rt, "off")
	if h.direct() && (off%page != 0 || whence == unix.SEEK_END) {
		rt.Skip("a local disk would refuse what comes after")
	}
	w.both(fmt.Sprintf("lseek %d from %d in %v", off, whence, h), h.file, func(s side) result {
		return resultOf(syscall.Seek(h.fd[s], int64(off), whence))
	})
}

// copyRange copies from one open file to another by copy_file_range, as cp does.
func (w *world) copyRange(rt *rapid.T) {
	from, to := w.handle(rt), w.handle(rt)
	if from.direct() || to.direct() {
		rt.Skip("a local disk would refuse what is not aligned")
	}
	src, dst, n := sizes.Draw(rt, "from off"), sizes.Draw(rt, "to off"), lengths.Draw(rt, "len")
	if from.file.lost {
		rt.Skip("there is nothing to copy")
	}
	w.both(fmt.Sprintf("copy_file_range %d from %d of %v to %d of %v", n, src, from, dst, to), to.file, func(s side) result {
		in, out, left := int64(src), int64(dst), n
		for left > 0 { // it may stop early anywhere
			done, err := unix.CopyFileRange(from.fd[s], &in, to.fd[s], &out, left, 0)
			if err != nil && s == mount && from.file.name == "" && from.file.imaged {
				to.file.lost = true // as in both: the source has gone with its image
			}
			if err != nil || done == 0 {
				return resultOf(n-left, err)
			}
			left -= done
		}
		return resultOf(n, nil)
	})
}

// drop makes the kernel forget pages, so that what comes next asks the daemon.
func (w *world) drop(rt *rapid.T) {
	h := w.handle(rt)
	w.both("fadvise DONTNEED "+h.String(), h.file, func(s side) result {
		return resultOf(0, unix.Fadvise(h.fd[s], 0, 0, unix.FADV_DONTNEED))
	})
}
