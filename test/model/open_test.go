package model

import (
	"fmt"
	"syscall"

	"pgregory.net/rapid"
)

// openMax is how many files are open at once.
const openMax = 6

// mode is the one with which files are made: the mount does not use it, and shows
// 0644 (SEMANTICS, Attributes).
const mode = 0o644

var flagNames = []struct {
	flag int
	name string
}{
	{syscall.O_CREAT, "O_CREAT"}, {syscall.O_EXCL, "O_EXCL"}, {syscall.O_TRUNC, "O_TRUNC"},
	{syscall.O_APPEND, "O_APPEND"}, {syscall.O_DIRECT, "O_DIRECT"}, {syscall.O_SYNC, "O_SYNC"},
}

func describe(flags int) string {
	text := [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR"}[flags&syscall.O_ACCMODE]
	for _, f := range flagNames {
		if flags&f.flag == f.flag {
			text += "|" + f.name
		}
	}
	return text
}

// open opens a file with any combination of flags.
func (w *world) open(rt *rapid.T) {
	if len(w.handles) == openMax {
		rt.Skip("enough files are open")
	}
	name := w.name(rt)
	flags := rapid.SampledFrom([]int{syscall.O_RDWR, syscall.O_RDWR, syscall.O_WRONLY, syscall.O_RDONLY}).Draw(rt, "access")
	for _, f := range flagNames {
		// Half of the opens make the file; the others are rarer.
		if n := rapid.IntRange(0, 7).Draw(rt, f.name); n == 7 || f.flag == syscall.O_CREAT && n > 3 {
			flags |= f.flag
		}
	}
	if flags&syscall.O_APPEND != 0 {
		flags &^= syscall.O_DIRECT // a local disk takes only what ends aligned
	}
	f := w.files[name]
	if flags&(syscall.O_ACCMODE|syscall.O_TRUNC) != 0 {
		w.partReaders(f)
	}
	h := &handle{flags: flags}
	var was syscall.Stat_t
	there := syscall.Stat(w.path(local, name), &was) == nil
	got := w.both(fmt.Sprintf("open %s %s", name, describe(flags)), f, func(s side) result {
		fd, err := syscall.Open(w.path(s, name), flags|syscall.O_CLOEXEC, mode)
		h.fd[s] = fd
		return resultOf(0, err)
	})
	if got.errno != 0 {
		return
	}
	if there && flags&syscall.O_TRUNC != 0 && was.Size == 0 { // as in ftruncate
		w.must(setTime(h.fd[local], was.Mtim))
	}
	if f == nil {
		f = &file{name: name}
		w.files[name] = f
		w.touched = f
	}
	h.file = f
	w.handles = append(w.handles, h)
}

// mknod makes a file and then opens it, as tar does.
func (w *world) mknod(rt *rapid.T) {
	if len(w.handles) == openMax {
		rt.Skip("enough files are open")
	}
	name := names.Draw(rt, "name")
	f := w.files[name]
	got := w.both("mknod "+name, f, func(s side) result {
		return resultOf(0, syscall.Mknod(w.path(s, name), syscall.S_IFREG|mode, 0))
	})
	if got.errno != 0 {
		return
	}
	f = &file{name: name}
	w.files[name] = f
	w.touched = f
	h := &handle{flags: syscall.O_RDWR, file: f}
	w.both("open what mknod made: "+name, f, func(s side) result {
		fd, err := syscall.Open(w.path(s, name), h.flags|syscall.O_CLOEXEC, 0)
		h.fd[s] = fd
		return resultOf(0, err)
	})
	w.handles = append(w.handles, h)
}

// partReaders closes who reads a file that is about to be written, where the kernel
// may read it from a local copy: such readers keep the old bytes, and the entry gets
// another inode (SEMANTICS, Passthrough).
func (w *world) partReaders(f *file) {
	if f == nil || !w.passthrough {
		return
	}
	for _, h := range w.handles {
		if h.file == f && h.writable() {
			return // then nobody reads it so
		}
	}
	f.ino = 0 // also by the readers of the last step, of whose end the kernel tells late
	for _, m := range append([]*mapping(nil), w.maps...) {
		if m.file == f {
			w.unmap(m)
		}
	}
	for _, h := range append([]*handle(nil), w.handles...) {
		if h.file == f {
			w.close1(h)
		}
	}
}

// handle draws an open file.
func (w *world) handle(rt *rapid.T) *handle {
	if len(w.handles) == 0 {
		rt.Skip("no file is open")
	}
	return w.handles[rapid.IntRange(0, len(w.handles)-1).Draw(rt, "handle")]
}

func (h *handle) String() string {
	name := h.file.name
	if name == "" {
		name = "a removed file"
	}
	return fmt.Sprintf("%s (%s, fd %d)", name, describe(h.flags), h.fd[mount])
}

// dup makes another descriptor of an open file. The close of either is a flush.
func (w *world) dup(rt *rapid.T) {
	if len(w.handles) == openMax {
		rt.Skip("enough files are open")
	}
	h := w.handle(rt)
	d := &handle{flags: h.flags, file: h.file}
	w.both("dup "+h.String(), h.file, func(s side) result {
		fd, err := syscall.Dup(h.fd[s])
		d.fd[s] = fd
		return resultOf(0, err)
	})
	w.handles = append(w.handles, d)
}

// closeOne closes a file, and mostly waits for what the daemon does after the last
// close, so that a failure can be made again.
func (w *world) closeOne(rt *rapid.T) {
	w.close1(w.handle(rt))
	if rapid.IntRange(0, 3).Draw(rt, "hurry") < 3 {
		w.must(w.daemon.Settled(w.written()))
	}
}

// written is how many files are open for writing, or may have a draft without that:
// one that was removed while it was written keeps it for those who read.
func (w *world) written() int {
	open := map[*file]bool{}
	for _, h := range w.handles {
		if h.writable() || h.flags&syscall.O_TRUNC != 0 || h.flags&syscall.O_CREAT != 0 || h.file.name == "" {
			open[h.file] = true
		}
	}
	for _, m := range w.maps {
		open[m.file] = true // whose handle may be closed
	}
	return len(open)
}

func (w *world) close1(h *handle) {
	for i, other := range w.handles {
		if other == h {
			w.handles = append(w.handles[:i], w.handles[i+1:]...)
			break
		}
	}
	w.both("close "+h.String(), h.file, func(s side) result { return resultOf(0, syscall.Close(h.fd[s])) })
	h.file.imaged = true // or will be
	if h.writable() {
		h.file.dirty = false
	}
}

// fsync and fdatasync of any handle.
func (w *world) fsync(rt *rapid.T) {
	h := w.handle(rt)
	data := rapid.Bool().Draw(rt, "data only")
	w.both("fsync "+h.String(), h.file, func(s side) result {
		if data {
			return resultOf(0, syscall.Fdatasync(h.fd[s]))
		}
		return resultOf(0, syscall.Fsync(h.fd[s]))
	})
	h.file.dirty = false
}
