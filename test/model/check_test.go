package model

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// longAgo, in seconds since 1970, parts the times that a sequence sets from those
// at which it wrote: 2020.
const longAgo = 1_577_836_800

// check compares what can be seen after a step: the directory, and the file that the
// step was about. How it is read, is drawn: the kernel's pages may hide what the
// daemon has, and the daemon what the kernel has.
func (w *world) check(rt *rapid.T) {
	w.checkNames()
	f := w.touched
	if f == nil {
		return
	}
	w.checkFile(f, rapid.SampledFrom([]how{fromPages, fromDaemon, notAtAll}).Draw(rt, "reading"))
}

// look compares all files.
func (w *world) look(rt *rapid.T) {
	how := rapid.SampledFrom([]how{fromPages, fromDaemon}).Draw(rt, "reading")
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		w.checkFile(w.files[name], how)
	}
	for _, h := range w.handles {
		w.checkFile(h.file, how)
	}
	w.touched = nil
}

type how int

const (
	fromPages  how = iota // as it comes: from the kernel's pages where it has them
	fromDaemon            // the pages are dropped before
	notAtAll
)

func (w *world) checkNames() {
	want := slices.Sorted(maps.Keys(w.files))
	for _, s := range sides {
		list, err := os.ReadDir(w.dir(s))
		w.must(err)
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			w.rt.Fatalf("after %s: %v lists %q, want %q", w.last, s, got, want)
		}
	}
}

func (w *world) checkFile(f *file, how how) {
	if f.name != "" {
		w.checkBytes(f, func(s side) string { return w.path(s, f.name) }, how)
		w.checkStat(f, func(s side, st *syscall.Stat_t) error { return syscall.Stat(w.path(s, f.name), st) })
	}
	for _, h := range w.handles {
		if h.file != f {
			continue
		}
		w.checkStat(f, func(s side, st *syscall.Stat_t) error { return syscall.Fstat(h.fd[s], st) })
		if h.readable() && !h.direct() {
			w.checkOpen(h, how)
		}
	}
}

// checkBytes reads the file by its name.
func (w *world) checkBytes(f *file, path func(side) string, how how) {
	if how == notAtAll {
		return
	}
	last := w.last
	w.both(fmt.Sprintf("after %s: read %s", last, f.name), f, func(s side) result {
		p, errno := readAll(path(s), how == fromDaemon)
		return result{n: int64(len(p)), errno: errno, data: p}
	})
	w.last = last
}

// checkOpen reads the file by an open handle.
func (w *world) checkOpen(h *handle, how how) {
	if how == notAtAll {
		return
	}
	last := w.last
	w.both(fmt.Sprintf("after %s: read all of %v", last, h), h.file, func(s side) result {
		var st syscall.Stat_t
		if err := syscall.Fstat(h.fd[s], &st); err != nil {
			return resultOf(0, err)
		}
		if how == fromDaemon {
			w.must(unix.Fadvise(h.fd[s], 0, 0, unix.FADV_DONTNEED))
		}
		p, errno := readFrom(h.fd[s])
		return result{n: st.Size, errno: errno, data: p}
	})
	w.last = last
}

// readAll reads a file to its end.
func readAll(path string, drop bool) ([]byte, syscall.Errno) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, resultOf(0, err).errno
	}
	defer syscall.Close(fd)
	if drop {
		if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
			return nil, resultOf(0, err).errno
		}
	}
	return readFrom(fd)
}

func readFrom(fd int) ([]byte, syscall.Errno) {
	var all []byte
	p := make([]byte, 64<<10)
	for {
		n, err := syscall.Pread(fd, p, int64(len(all)))
		switch {
		case err != nil:
			return all, resultOf(0, err).errno
		case n == 0:
			return all, 0
		}
		all = append(all, p[:n]...)
	}
}

func (w *world) checkStat(f *file, stat func(side, *syscall.Stat_t) error) {
	var st [len(sides)]syscall.Stat_t
	last := w.last
	w.both("after "+last+": stat", f, func(s side) result {
		err := stat(s, &st[s])
		return resultOf(st[s].Size, err)
	})
	w.last = last
	if f.lost || f.name == "" && f.imaged {
		return // what is set on an image is in its record, which has gone
	}
	want, got := &st[local], &st[mount]
	if got.Mode != want.Mode || got.Uid != want.Uid || got.Gid != want.Gid || got.Nlink != want.Nlink {
		w.rt.Fatalf("after %s: mode %o, owner %d:%d, %d links on the mount; %o, %d:%d, %d locally",
			last, got.Mode, got.Uid, got.Gid, got.Nlink, want.Mode, want.Uid, want.Gid, want.Nlink)
	}
	if f.ino != 0 && got.Ino != f.ino {
		w.rt.Fatalf("after %s: the inode was %d and is %d", last, f.ino, got.Ino)
	}
	f.ino = got.Ino
	switch {
	case f.untimed:
	case f.dirty: // what the kernel writes back later has the time at which it does
	case want.Mtim.Sec < longAgo && want.Mtim != got.Mtim:
		w.rt.Fatalf("after %s: the time of the last change was set to %v and is %v", last, want.Mtim, got.Mtim)
	case want.Mtim.Sec >= longAgo && got.Mtim.Sec < w.began.Add(-2*time.Second).Unix(): // the service counts whole seconds
		w.rt.Fatalf("after %s: the time of the last change is %v, long before that", last, time.Unix(got.Mtim.Unix()))
	}
}
