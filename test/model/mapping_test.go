package model

import (
	"fmt"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// mapMax is how many mappings there are at once.
const mapMax = 3

// mapping is memory that shows a file on both sides. It outlives the handle.
type mapping struct {
	mem      [len(sides)][]byte
	file     *file
	writable bool // shared, too
	off      int  // of the file
	fd       int  // of the local file, to ask for its size; not a handle
}

func (w *world) mmap(rt *rapid.T) {
	if len(w.maps) == mapMax {
		rt.Skip("enough is mapped")
	}
	h := w.handle(rt)
	off, n := aligned(sizes.Draw(rt, "off")), lengths.Draw(rt, "len")
	m := &mapping{file: h.file, off: off, writable: rapid.Bool().Draw(rt, "writable")}
	prot, flags := unix.PROT_READ, unix.MAP_SHARED
	if m.writable {
		prot |= unix.PROT_WRITE
	} else if rapid.Bool().Draw(rt, "private") {
		flags = unix.MAP_PRIVATE
	}
	got := w.both(fmt.Sprintf("mmap %d at %d of %v, writable %v, flags %d", n, off, h, m.writable, flags), h.file, func(s side) result {
		p, err := unix.Mmap(h.fd[s], int64(off), n, prot, flags)
		m.mem[s] = p
		return resultOf(0, err)
	})
	if got.errno != 0 {
		return
	}
	fd, err := syscall.Dup(h.fd[local])
	w.must(err)
	m.fd = fd
	w.maps = append(w.maps, m)
}

func (w *world) mapping(rt *rapid.T) *mapping {
	if len(w.maps) == 0 {
		rt.Skip("nothing is mapped")
	}
	return w.maps[rapid.IntRange(0, len(w.maps)-1).Draw(rt, "mapping")] // not the thing itself: rapid prints what it draws, with all memory
}

// part draws a part of a mapping that lies in the file, for what lies behind its end
// is nobody's promise.
func (w *world) part(rt *rapid.T, m *mapping) (off, n int) {
	var st syscall.Stat_t
	w.must(syscall.Fstat(m.fd, &st))
	end := min(len(m.mem[local]), int(st.Size)-m.off)
	if end <= 0 {
		rt.Skip("all of it lies behind the end")
	}
	off = rapid.IntRange(0, end-1).Draw(rt, "off")
	return off, min(lengths.Draw(rt, "len"), end-off)
}

func (w *world) readMapping(rt *rapid.T) {
	m := w.mapping(rt)
	off, n := w.part(rt, m)
	w.both(fmt.Sprintf("read %d at %d of a mapping of %q", n, m.off+off, m.file.name), m.file, func(s side) result {
		p := make([]byte, n)
		errno := access(func() { copy(p, m.mem[s][off:]) })
		return result{n: int64(n), errno: errno, data: p}
	})
}

func (w *world) writeMapping(rt *rapid.T) {
	m := w.mapping(rt)
	if !m.writable {
		rt.Skip("it is only to be read")
	}
	off, n := w.part(rt, m)
	p := pattern(rapid.Byte().Draw(rt, "seed"), n)
	w.both(fmt.Sprintf("write %d at %d of a mapping of %q", n, m.off+off, m.file.name), m.file, func(s side) result {
		errno := access(func() { copy(m.mem[s][off:], p) })
		return result{n: int64(n), errno: errno}
	})
	m.file.dirty = true
}

// access touches mapped memory. A page that cannot be had is SIGBUS; here it is
// ESTALE, for that is the only reason why there may be none.
func access(touch func()) (errno syscall.Errno) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			errno = syscall.ESTALE
		}
	}()
	touch()
	return 0
}

func (w *world) msync(rt *rapid.T) {
	m := w.mapping(rt)
	w.both(fmt.Sprintf("msync a mapping of %q", m.file.name), m.file, func(s side) result {
		return resultOf(0, unix.Msync(m.mem[s], unix.MS_SYNC))
	})
	m.file.dirty = false
}

func (w *world) munmap(rt *rapid.T) { w.unmap(w.mapping(rt)) }

func (w *world) unmap(m *mapping) {
	for i, other := range w.maps {
		if other == m {
			w.maps = append(w.maps[:i], w.maps[i+1:]...)
			break
		}
	}
	w.both(fmt.Sprintf("munmap a mapping of %q", m.file.name), m.file, func(s side) result {
		return resultOf(0, unix.Munmap(m.mem[s]))
	})
	w.must(syscall.Close(m.fd))
	m.file.imaged = m.file.imaged || m.writable
}
