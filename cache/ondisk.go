package cache

import "github.com/imagefs/imagefs/image"

// useOfDisk says whether a read may take blocks from the disk.
type useOfDisk bool

const (
	withDisk    useOfDisk = true
	withoutDisk useOfDisk = false // the disk has just turned out not to have the block
)

// onDisk reports whether the disk has the block.
func (e *contents) onDisk(index int64) bool { return e.disk != nil && e.disk.Has(index) }

// toDisk keeps the block on the disk where there is one. It takes a system call or
// two: Cache.mu must not be held.
func (e *contents) toDisk(index int64, data []byte) {
	if e.disk != nil {
		e.disk.Write(index, data)
	}
}

// leaveToDisk drops a block that was read to its end from memory, if the disk has it:
// who reads on does not come back for it, who comes later finds it there, and its
// buffer serves the next one while it is still in the processor's cache. So memory
// holds what lies ahead of sequential readers and what is read in parts. Cache.mu is
// held.
func (c *Cache) leaveToDisk(id blockID, b *block) {
	if b.read && id.of.onDisk(id.index) {
		c.memory.leave(id, b)
	}
}

// readDisk reads the whole block from the disk into p; false when the disk has not
// got it, or not as it was written.
func (f *File) readDisk(index int64, p []byte) bool {
	if !f.of.onDisk(index) || !f.of.disk.Read(index, p) {
		return false
	}
	f.cache.mu.Lock()
	f.cache.counts.diskHits++
	f.cache.unlock()
	return true
}

// blockFromDisk reads the block from the disk and returns it pinned; nil when the
// disk has not got it. With keep it becomes resident.
func (f *File) blockFromDisk(index int64, keep bool) *block {
	if !f.of.onDisk(index) {
		return nil
	}
	c := f.cache
	c.mu.Lock()
	b := &block{data: c.memory.buffer(BlockSpan(index, f.size).Len), refs: 1}
	c.unlock()
	ok := f.of.disk.Read(index, b.data)
	c.mu.Lock()
	defer c.unlock()
	if !ok {
		c.memory.unpin(b)
		return nil
	}
	c.counts.diskHits++
	if id := (blockID{f.of, index}); keep && f.usable() == nil && !c.memory.touch(id) {
		c.memory.put(id, b)
	}
	return b
}

// bad reports that bytes of the image have turned out to be wrong. Cache.mu is held.
func (e *contents) bad() bool { return e.wrong || e.disk != nil && e.disk.Bad() }

// Drop forgets what is in memory of an image, and on its way there, for its bytes have
// turned out to be wrong. Who has it open gets errors from now on, but for reads under
// way; who opens it then reads anew, and nothing of what was is mixed with that.
func (c *Cache) Drop(key image.Key) {
	c.mu.Lock()
	defer c.unlock()
	for id, e := range c.images {
		if id.key == key {
			c.drop(e)
		}
	}
}

// drop is Drop of one image. Cache.mu is held.
func (c *Cache) drop(e *contents) {
	e.wrong = true
	delete(c.images, e.id)
	for _, p := range e.pending {
		c.end(p.fetch, wrongBytes(e.id.key.ID))
	}
	c.memory.drop(e)
	e.prune()
}

func wrongBytes(id string) error {
	return &image.Error{Op: "read", Image: id, Kind: image.Corrupt, Detail: "the bytes that the service sent do not have the image's hash"}
}
