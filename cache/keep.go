package cache

import "github.com/imagefs/imagefs/image"

// Keep makes what has been read of s, which lies inside the image, stay where the cache
// keeps it: blocks that are in memory only are written to the disk, where there is one. It
// returns how many bytes of the blocks of s are not kept: those that nobody has read, that
// have been evicted, that the disk does not take, and for a moment those that somebody else
// writes just now. It waits for the disk, and for nothing else.
func (f *File) Keep(s image.Span) (missing int64) {
	c := f.cache
	first, end := blockRange(s)
	for index := first; index < end; index++ {
		if f.of.onDisk(index) {
			continue
		}
		n := BlockSpan(index, f.size).Len
		c.mu.Lock()
		b := c.memory.get(blockID{f.of, index})
		c.unlock()
		if b == nil {
			missing += n
			continue
		}
		f.of.toDisk(index, b.data)
		c.mu.Lock()
		c.memory.unpin(b)
		c.unlock()
		if f.of.disk != nil && !f.of.onDisk(index) {
			missing += n
		}
	}
	return missing
}

// Forget drops blocks of the images that gone names from memory. Who has one open goes on,
// and what is fetched just now stays.
func (c *Cache) Forget(gone func(image.Key) bool) {
	c.mu.Lock()
	defer c.unlock()
	for id, e := range c.images {
		if gone(id.key) {
			c.memory.drop(e)
		}
	}
}

// Room returns how many bytes of the images with these keys the cache can keep together, so
// that none of them goes for another.
func (c *Cache) Room(keys map[image.Key]bool) int64 {
	if c.disk == nil {
		c.mu.Lock()
		defer c.unlock()
		return c.memory.budget / (BlockSize + blockOverhead) * BlockSize
	}
	return c.disk.Room(keys)
}
