package disk

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// pace keeps verification out of the way of readers: while blocks are read or
// written it rests between blocks. The thread is not made nice instead: a thread
// that the kernel does not run while it has work holds up every collection of
// garbage, and with it all readers (with two cores busy, nice 19 made the longest
// collection last 1.2 s instead of 0.3 s).
type pace struct {
	store *Store
	moved int64     // bytes read and written in all, as of began
	began time.Time // of the work on the last block
}

const (
	// restPart is how many times as long as it works it rests: a quarter of a core
	// at most while the cache is in use.
	restPart = 3
	// restMost bounds one rest where a block came slowly from the disk.
	restMost = 100 * time.Millisecond
)

// wait comes before each block; it reports false when ctx has ended.
func (p *pace) wait(ctx context.Context) bool {
	n := &p.store.counts
	if moved := n.read.Load() + n.written.Load(); moved != p.moved && !p.began.IsZero() {
		p.moved = moved
		rest := time.NewTimer(min(restPart*time.Since(p.began), restMost))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
	}
	p.began = time.Now()
	return ctx.Err() == nil
}

// From linux/ioprio.h: this thread; and, in its place of the value, the class that
// gets the disk when nobody else wants it.
const (
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// yieldDisk makes the calling thread ask for the disk last. Best effort: not every
// scheduler of disks knows priorities.
func yieldDisk() {
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
}
