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

// writeLater gives a pinned block to the image's writer, which begins if there is
// none. The caller has taken one of Cache.unwritten, which the writer gives back.
// Cache.mu is held.
func (c *Cache) writeLater(e *contents, index int64, b *block) {
	e.unwritten = append(e.unwritten, unwritten{index, b})
	if !e.writing {
		e.writing = true
		c.wg.Go(func() { c.write(e) })
	}
}

// write brings an image's blocks to the disk until none is left. There is one such
// goroutine for an image: its fetches would wait for each other in the kernel, which
// lets one at a time write a file.
func (c *Cache) write(e *contents) {
	var batch []unwritten
	for {
		c.mu.Lock()
		for _, w := range batch {
			c.leaveToDisk(blockID{e, w.index}, w.block)
			c.memory.unpin(w.block)
		}
		clear(batch)
		batch, e.unwritten = e.unwritten, batch[:0]
		if len(batch) == 0 {
			e.writing = false
			e.prune()
			c.unlock()
			return
		}
		c.unlock()
		slices.SortFunc(batch, func(a, b unwritten) int { return int(a.index - b.index) })
		for _, w := range batch {
			e.toDisk(w.index, w.block.data)
			<-c.unwritten
		}
	}
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
