package disk

import "golang.org/x/sys/unix"

const (
	lowestNice = 19

	// From linux/ioprio.h: this thread; the class that gets the disk when nobody
	// else wants it, in its place of the value.
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// lowerPriority makes the calling thread yield processor and disk to all others.
// Best effort: without it verification only costs more.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice) // 0: this thread
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
}
