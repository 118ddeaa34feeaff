package disk

import "github.com/imagefs/imagefs/image"

// Held returns how many bytes of an image of this size are on disk. It opens nothing,
// does no I/O and waits for none.
func (s *Store) Held(key image.Key, size int64) int64 {
	s.mu.Lock()
	c := s.images[identity{key: key, size: size}]
	s.mu.Unlock()
	if c == nil || c.blocks == 0 {
		return 0
	}
	held := c.present.Load() * s.blockSize
	if last := c.blocks - 1; c.has(last) {
		held -= s.blockSize - c.blockLen(last)
	}
	return max(0, held) // a block may go meanwhile
}
