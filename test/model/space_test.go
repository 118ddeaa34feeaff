package model

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func (w *world) ftruncate(rt *rapid.T) {
	h, size := w.handle(rt), sizes.Draw(rt, "size")
	var was syscall.Stat_t
	w.must(syscall.Fstat(h.fd[local], &was))
	w.both(fmt.Sprintf("ftruncate %v to %d", h, size), h.file, func(s side) result {
		return resultOf(0, syscall.Ftruncate(h.fd[s], int64(size)))
	})
	if was.Size == int64(size) { // SEMANTICS: a length that is right already changes nothing, nor the time
		w.must(setTime(h.fd[local], was.Mtim))
	}
}

// truncate is by the file's name: it commits before it answers.
func (w *world) truncate(rt *rapid.T) {
	name, size := w.name(rt), sizes.Draw(rt, "size")
	f := w.files[name]
	w.partReaders(f)
	var was syscall.Stat_t
	there := syscall.Stat(w.path(local, name), &was) == nil
	w.both(fmt.Sprintf("truncate %s to %d", name, size), f, func(s side) result {
		return resultOf(0, syscall.Truncate(w.path(s, name), int64(size)))
	})
	if f != nil {
		f.imaged = true
	}
	if there && was.Size == int64(size) { // as in ftruncate
		w.must(unix.UtimesNanoAt(unix.AT_FDCWD, w.path(local, name), onlyModified(was.Mtim), 0))
	}
}

var allocations = rapid.SampledFrom([]uint32{
	0, unix.FALLOC_FL_KEEP_SIZE,
	unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
	unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE,
})

func (w *world) fallocate(rt *rapid.T) {
	h := w.handle(rt)
	how, off, n := allocations.Draw(rt, "mode"), sizes.Draw(rt, "off"), sizes.Draw(rt, "len")
	w.both(fmt.Sprintf("fallocate mode %d, %d at %d of %v", how, n, off, h), h.file, func(s side) result {
		return resultOf(0, syscall.Fallocate(h.fd[s], how, int64(off), int64(n)))
	})
	h.file.untimed = true
}

// seek looks for data and holes. A filesystem may call anything data, but only
// zeros a hole.
func (w *world) seek(rt *rapid.T) {
	h := w.handle(rt)
	off := sizes.Draw(rt, "off")
	hole := rapid.Bool().Draw(rt, "for a hole")
	if h.file.dirty || h.file.lost {
		rt.Skip("the kernel asks without having written back what was written through a mapping")
	}
	w.begin(fmt.Sprintf("lseek for data or a hole (%v) from %d in %v", hole, off, h), h.file)
	here, err := syscall.Seek(h.fd[mount], 0, unix.SEEK_CUR)
	w.must(err)
	whence := unix.SEEK_DATA
	if hole {
		whence = unix.SEEK_HOLE
	}
	got := w.timed(func() result { return resultOf(syscall.Seek(h.fd[mount], int64(off), whence)) })
	_, err = syscall.Seek(h.fd[mount], here, unix.SEEK_SET)
	w.must(err)
	want := w.plain(h)
	switch {
	case got.errno == syscall.ESTALE && h.file.name == "" && h.file.imaged:
		h.file.lost = true
	case got.errno == syscall.ENXIO && (off >= len(want) || !hole && zero(want[off:])):
	case got.errno != 0, off >= len(want), got.n < int64(off), got.n > int64(len(want)):
		rt.Fatalf("%s: %v in a file of %d", w.last, got, len(want))
	case hole && got.n < int64(len(want)) && want[got.n] != 0:
		rt.Fatalf("%s: a hole at %d, where data is", w.last, got.n)
	case !hole && !zero(want[off:got.n]):
		rt.Fatalf("%s: data at %d, but there is some before", w.last, got.n)
	}
}

// plain is what the file has in the local directory.
func (w *world) plain(h *handle) []byte {
	return w.content(fmt.Sprintf("/proc/self/fd/%d", h.fd[local])) // the handle may be for writing only
}

// content is what a local file has, also where its mode forbids reading to all but root.
func (w *world) content(path string) []byte {
	info, err := os.Stat(path)
	w.must(err)
	w.must(os.Chmod(path, 0o600))
	p, err := os.ReadFile(path)
	w.must(err)
	w.must(os.Chmod(path, info.Mode()))
	return p
}

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
