package cache

import (
	"context"
	"slices"
)

// mostUnwritten is how many fetched blocks may wait for the disk, of all images
// together; then fetching waits too. 8 MiB: enough that a service at 400 MB/s is read
// on for 20 ms while the disk is busy, and little beside the budget of the memory.
const mostUnwritten = 8 << 20 / BlockSize

// unwritten is a block that waits to be written to the disk, pinned until it is.
type unwritten struct {
	index int64
	block *block
}

// queueWrite leaves a pinned block to the image's writer, and reports whether the caller
// is that writer now. It has taken one of Cache.unwritten, which the writer gives
// back. Cache.mu is held.
func (c *Cache) queueWrite(e *contents, index int64, b *block) bool {
	e.unwritten = append(e.unwritten, unwritten{index, b})
	if e.writing {
		return false
	}
	e.writing = true
	return true
}

// write brings the blocks that wait to the disk, and leaves those that come meanwhile
// to a goroutine. One at a time writes an image: in the kernel the others would wait
// for it, with a processor each. Who has a block when nobody writes does it at once,
// for waking somebody takes as long.
func (c *Cache) write(e *contents) {
	if c.writeBatch(e) {
		c.wg.Go(func() {
			for c.writeBatch(e) {
			}
		})
	}
}

// writeBatch writes the blocks that wait, and reports whether there are others by now.
// If not, the image has no writer any more.
func (c *Cache) writeBatch(e *contents) (more bool) {
	c.mu.Lock()
	batch := e.unwritten
	e.unwritten = nil
	c.unlock()
	slices.SortFunc(batch, func(a, b unwritten) int { return int(a.index - b.index) })
	for _, w := range batch {
		e.toDisk(w.index, w.block.data)
		<-c.unwritten
	}
	c.mu.Lock()
	defer c.unlock()
	for _, w := range batch {
		c.leaveToDisk(blockID{e, w.index}, w.block)
		c.memory.unpin(w.block)
	}
	if len(e.unwritten) > 0 {
		return true
	}
	e.writing = false
	e.prune()
	return false
}

// takeUnwritten waits for room among the blocks that wait for the disk, where there is
// one; false when ctx ends first, or there is no disk.
func (c *Cache) takeUnwritten(ctx context.Context, e *contents) bool {
	if e.disk == nil {
		return false
	}
	select {
	case c.unwritten <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
