package cache

import (
	"slices"
	"time"
)

const (
	// diskPatience is how long a fetch waits for the disk: a disk that is only slow
	// writes 64 blocks in a fraction of it.
	diskPatience = time.Second
	// diskPause is how long nobody waits again for a disk that was waited for in vain.
	diskPause = 10 * time.Second
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

// keep leaves a block that its readers have got to whoever writes the image to the disk,
// where there is one. It takes over the caller's pin and its share in contents.keeping.
// The caller does not write itself: the disk may not answer, and others wait for what the
// caller fetches next.
func (c *Cache) keep(e *contents, index int64, b *block) {
	taken := e.disk != nil && c.takeUnwritten()
	c.mu.Lock()
	defer c.unlock()
	e.keeping--
	if !taken {
		c.memory.unpin(b)
		e.prune()
		return
	}
	e.unwritten = append(e.unwritten, unwritten{index, b})
	if !e.writing {
		e.writing = true
		c.wg.Go(func() {
			for c.writeBatch(e) {
			}
		})
	}
}

// writeBatch writes the blocks of an image that wait, and reports whether there are
// others by now. If not, the image has no writer any more. One at a time writes an
// image: in the kernel the others would wait for it, with a processor each.
func (c *Cache) writeBatch(e *contents) (more bool) {
	c.mu.Lock()
	batch := e.unwritten
	e.unwritten = nil
	c.unlock()
	slices.SortFunc(batch, func(a, b unwritten) int { return int(a.index - b.index) })
	for _, w := range batch {
		e.toDisk(w.index, w.block.data)
		c.mu.Lock()
		c.leaveToDisk(blockID{e, w.index}, w.block)
		c.memory.unpin(w.block)
		c.unlock()
		<-c.unwritten
	}
	c.mu.Lock()
	defer c.unlock()
	if len(e.unwritten) > 0 {
		return true
	}
	e.writing = false
	e.prune()
	return false
}

// takeUnwritten waits for room among the blocks that wait for the disk. It reports false
// when there is none for a while, or the cache is closed: the block is then not written.
func (c *Cache) takeUnwritten() bool {
	select {
	case c.unwritten <- struct{}{}:
		return true
	default:
	}
	// More than a pause is left where the clock was set back.
	if left := c.diskStuck.Load() - time.Now().UnixNano(); left > 0 && left <= int64(diskPause) {
		return false
	}
	limit := time.NewTimer(diskPatience)
	defer limit.Stop()
	select {
	case c.unwritten <- struct{}{}:
		return true
	case <-c.ctx.Done():
	case <-limit.C:
		if c.diskStuck.Swap(time.Now().Add(diskPause).UnixNano()) == 0 {
			c.log.Warn("the disk of the cache does not keep up; what is read is not written there for a while")
		}
	}
	return false
}
