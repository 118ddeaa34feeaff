package model

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func (w *world) rename(rt *rapid.T) {
	from, to := w.name(rt), names.Draw(rt, "to")
	flags := rapid.SampledFrom([]uint{0, 0, 0, unix.RENAME_NOREPLACE}).Draw(rt, "flags")
	f := w.files[from]
	got := w.both(fmt.Sprintf("rename %s to %s, flags %d", from, to, flags), f, func(s side) result {
		return resultOf(0, unix.Renameat2(unix.AT_FDCWD, w.path(s, from), unix.AT_FDCWD, w.path(s, to), flags))
	})
	if got.errno != 0 || from == to {
		return
	}
	if over := w.files[to]; over != nil {
		over.name = ""
	}
	delete(w.files, from)
	w.files[to] = f
	f.name = to
}

func (w *world) unlink(rt *rapid.T) {
	name := w.name(rt)
	f := w.files[name]
	got := w.both("unlink "+name, f, func(s side) result { return resultOf(0, syscall.Unlink(w.path(s, name))) })
	if got.errno == 0 {
		delete(w.files, name)
		f.name = ""
	}
}
