package model

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var modes = rapid.SampledFrom([]uint32{0o644, 0o600, 0o755, 0o444, 0o000, 0o666})

func (w *world) chmod(rt *rapid.T) {
	name, m := w.name(rt), modes.Draw(rt, "mode")
	w.both(fmt.Sprintf("chmod %s %o", name, m), w.files[name], func(s side) result {
		return resultOf(0, syscall.Chmod(w.path(s, name), m))
	})
}

func (w *world) fchmod(rt *rapid.T) {
	h, m := w.handle(rt), modes.Draw(rt, "mode")
	w.both(fmt.Sprintf("fchmod %v %o", h, m), h.file, func(s side) result {
		return resultOf(0, syscall.Fchmod(h.fd[s], m))
	})
}

// ids are whom a file is given to: nobody else, oneself, or others, which is refused to
// all but root.
func ids(own int) *rapid.Generator[int] { return rapid.SampledFrom([]int{-1, own, 0, 1, 2, 3}) }

func (w *world) chown(rt *rapid.T) {
	name := w.name(rt)
	uid, gid := ids(os.Getuid()).Draw(rt, "uid"), ids(os.Getgid()).Draw(rt, "gid")
	w.both(fmt.Sprintf("chown %s %d:%d", name, uid, gid), w.files[name], func(s side) result {
		return resultOf(0, syscall.Chown(w.path(s, name), uid, gid))
	})
}

// times draws what utimensat is told: a time long ago, so that the check knows it
// from one that a write has set, now, or nothing. There is no time of access.
func times(rt *rapid.T) []unix.Timespec {
	mtime := unix.Timespec{Sec: rapid.Int64Range(1, longAgo-1).Draw(rt, "sec"), Nsec: rapid.Int64Range(0, 999_999_999).Draw(rt, "nsec")}
	switch rapid.IntRange(0, 5).Draw(rt, "kind") {
	case 4:
		mtime.Nsec = unix.UTIME_NOW
	case 5:
		mtime.Nsec = unix.UTIME_OMIT
	}
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
}

func (w *world) utimes(rt *rapid.T) {
	name, t := w.name(rt), times(rt)
	f := w.files[name]
	w.both(fmt.Sprintf("utimensat %s %v", name, t[1]), f, func(s side) result {
		return resultOf(0, unix.UtimesNanoAt(unix.AT_FDCWD, w.path(s, name), t, 0))
	})
	if f != nil {
		f.timed(t)
	}
}

func (w *world) futimes(rt *rapid.T) {
	h, t := w.handle(rt), times(rt)
	w.both(fmt.Sprintf("futimens %v %v", h, t[1]), h.file, func(s side) result { return resultOf(0, futimens(h.fd[s], t)) })
	h.file.timed(t)
}

// timed notes that the file was told a time. What was written through a mapping and
// the kernel has not written back yet moves that time later.
func (f *file) timed(t []unix.Timespec) {
	f.untimed = f.dirty || f.untimed && t[1].Nsec == unix.UTIME_OMIT
}

// futimens is what Go's libraries have not; glibc's does it so where it must.
func futimens(fd int, t []unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), t, 0)
}

func setTime(fd int, mtime syscall.Timespec) error {
	return futimens(fd, onlyModified(mtime))
}

func onlyModified(t syscall.Timespec) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: t.Sec, Nsec: t.Nsec}}
}
