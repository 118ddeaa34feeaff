package disk

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Kept is one image that has blocks on disk.
type Kept struct {
	Key  image.Key
	Size int64     // of the whole image, bytes
	Used time.Time // when a block was last used, in whole seconds
}

// Latest returns the images that have blocks on disk, the last used first, and so many at
// most. It does no I/O and waits for none.
func (s *Store) Latest(most int) []Kept {
	var list []Kept
	for _, c := range s.all() {
		if c.present.Load() > 0 {
			list = append(list, Kept{Key: c.id.key, Size: c.id.size, Used: c.lastUse()})
		}
	}
	slices.SortFunc(list, func(a, b Kept) int {
		return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Key.Version, b.Key.Version))
	})
	return list[:min(most, len(list))]
}

// EachBlock calls fn with the index of every block of an image of this size that is on
// disk, in no order. It does no I/O and waits for none; what comes or goes meanwhile may be
// missed.
func (s *Store) EachBlock(key image.Key, size int64, fn func(index int64)) {
	s.mu.Lock()
	c := s.images[identity{key: key, size: size}]
	s.mu.Unlock()
	if c == nil {
		return
	}
	for n, p := range c.copyPages() {
		p.each(func(i int64, _ *atomic.Uint64) { fn(n*pageBlocks + i) })
	}
}

// indexes returns those of the blocks that are on disk, ascending. A record may tell of so
// large an image that one cannot count through all of its blocks.
func (c *contents) indexes() []int64 {
	list := make([]int64, 0, c.present.Load())
	for n, p := range c.copyPages() {
		p.each(func(i int64, _ *atomic.Uint64) { list = append(list, n*pageBlocks+i) })
	}
	slices.Sort(list)
	return list
}

// lastUse is when a block was last used, in whole seconds.
func (c *contents) lastUse() time.Time {
	latest := int64(0)
	for _, p := range c.copyPages() {
		p.each(func(_ int64, slot *atomic.Uint64) { latest = max(latest, int64(stampOf(slot.Load()))) })
	}
	return time.Unix(min(latest, c.store.sys.now().Unix()), 0) // stamps may run ahead
}

// copyPages returns the pages as they are now, so that nobody waits for who looks at all of
// a large image. The slots of one that is taken away meanwhile say that nothing is there.
func (c *contents) copyPages() map[int64]*page {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return maps.Clone(c.pages)
}
