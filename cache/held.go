package cache

import "github.com/imagefs/imagefs/image"

// Held says how much of images is cached, as of the time when it was asked for. It
// belongs to one goroutine.
type Held struct {
	cache  *Cache
	memory map[identity]int64 // bytes that are in memory only
}

// Held looks at the blocks in memory once, for any number of images.
func (c *Cache) Held() Held {
	c.mu.Lock()
	defer c.unlock()
	h := Held{cache: c, memory: make(map[identity]int64)}
	for _, id := range c.memory.order.Keys() {
		if !id.of.onDisk(id.index) {
			h.memory[id.of.id] += BlockSpan(id.index, id.of.id.size).Len
		}
	}
	return h
}

// Of returns how many bytes of an image of this size are in memory or on disk.
func (h Held) Of(key image.Key, size int64) int64 {
	held := h.memory[identity{key, size}]
	if h.cache.disk != nil {
		held += h.cache.disk.Held(key, size)
	}
	return min(held, size) // a block may have come to the disk meanwhile
}
