package main

import (
	"os"
	"strconv"
	"strings"
)

// copyMost, in bytes, is above the size up to which the kernel and the prefetcher treat a
// file as small.
const copyMost = 6 << 20

// copies is the work of cp, dd, mv, install and rm.
func copies(w *worker) {
	f := w.any()
	switch w.random.IntN(12) {
	case 0, 1, 2, 3: // made, or written over
		s := holding(w.fresh(copyMost))
		from := w.write("from", s.data)
		switch w.random.IntN(4) {
		case 0:
			w.wrote(f, s, w.run("dd", "if="+from, "of="+w.path(f), "bs=256K", "status=none").ok)
		case 1: // it removes what is there, and then makes the file
			ok := w.run("install", "-m", "644", from, w.path(f)).ok
			if !ok {
				f.maybe(absent)
			}
			w.wrote(f, s, ok)
		default:
			w.wrote(f, s, w.run("cp", from, w.path(f)).ok)
		}
	case 4, 5, 6, 7:
		w.copyOut()
	case 8, 9:
		w.rename(f, w.any())
	case 10:
		w.remove(f)
	default:
		if f, s := w.known(); f != nil {
			switch o := w.run("cmp", w.write("same", s.data), w.path(f)); {
			case o.code == 1: // cmp says so of a difference alone
				w.soak.fail("%s differs: %s", f.name, o.out)
			case o.ok:
				w.soak.tally.compared(len(s.data))
			}
		}
	}
}

// copyOut reads a file by cp and compares what came.
func (w *worker) copyOut() {
	f, _ := w.known()
	if f == nil {
		return
	}
	to := w.local("out")
	_ = os.Remove(to) // mostly there
	if w.run("cp", w.path(f), to).ok {
		w.readBack(f, to)
	}
}

// rename moves a file, also over another. Those whose names are not certain stay where
// they are.
func (w *worker) rename(f, to *file) {
	s, ok := f.now()
	if _, known := to.now(); f == to || !ok || !s.there || !known {
		return
	}
	w.forget(f, to)
	if w.run("mv", "-T", w.path(f), w.path(to)).ok {
		f.set(absent)
		to.set(s)
		f.property, to.property = []string{""}, f.property
		return
	}
	f.maybe(absent)
	to.maybe(s)
	w.moves = append(w.moves, move{what: s, from: f, to: to})
}

// remove removes a file; where that fails it may be gone, and then rm -f has nothing to do.
// For that it also takes what it is told wrongly, so one that is there is removed without.
func (w *worker) remove(f *file) {
	args := []string{"-f", w.path(f)}
	s, known := f.now()
	if known && s.there {
		args = args[1:]
	}
	o := w.run("rm", args...)
	if !o.ok && known && s.there && strings.Contains(o.out, "No such file") {
		w.soak.fail("%s is there, and rm does not find it", f.name)
	}
	w.wrote(f, absent, o.ok)
}

// editMost, in bytes: each edit uploads the whole file.
const editMost = 2 << 20

// edits is the work of those that change a part of a file.
func edits(w *worker) {
	f, s := w.known()
	if f == nil {
		f = w.any()
		s := holding(w.fresh(editMost))
		w.wrote(f, s, w.run("cp", w.write("from", s.data), w.path(f)).ok)
		return
	}
	patch := w.fresh(64 << 10)
	switch w.random.IntN(6) {
	case 0, 1: // in the middle, also past the end
		if len(patch) == 0 {
			return
		}
		off := w.random.IntN(len(s.data) + 1)
		next := append(append([]byte(nil), s.data...), make([]byte, max(0, off+len(patch)-len(s.data)))...)
		copy(next[off:], patch)
		w.wrote(f, holding(next), w.run("dd", "if="+w.write("patch", patch), "of="+w.path(f),
			"conv=notrunc", "bs=1M", "oflag=seek_bytes", "seek="+strconv.Itoa(off), "status=none").ok)
	case 2:
		if len(s.data) > editMost {
			w.remove(f)
			return
		}
		next := append(append([]byte(nil), s.data...), patch...)
		w.wrote(f, holding(next), w.run("sh", "-c", `exec cat "$0" >> "$1"`, w.write("patch", patch), w.path(f)).ok)
	case 3:
		size := w.random.IntN(len(s.data) + 4096)
		next := make([]byte, size)
		copy(next, s.data)
		w.wrote(f, holding(next), w.run("truncate", "-s", strconv.Itoa(size), w.path(f)).ok)
	case 4:
		w.copyOut()
	default:
		w.remove(f)
	}
}
