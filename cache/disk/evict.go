package disk

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
)

// candidate is an image as a sweep sees it.
type candidate struct {
	of    *contents
	pages []numbered
	// lump: the image goes whole or stays whole, by its latest stamp.
	lump   bool
	stamp  uint32
	charge int64 // of the lump, bytes
}

type numbered struct {
	*page
	n int64 // index / pageBlocks of its blocks
}

// evict frees about need bytes: the blocks with the oldest stamps. Pinned images
// stay. room.sweep is held, no other lock.
func (s *Store) evict(need int64) {
	candidates := s.candidates()
	oldest := oldestStamps(candidates, need)
	// First what is surely older, so that the blocks of the last stamp make up what
	// is missing.
	for _, limit := range []uint32{oldest - min(oldest, 1), oldest} {
		for i := range candidates {
			if need <= 0 {
				return
			}
			need -= candidates[i].evict(limit, need)
		}
	}
}

// candidates returns what a sweep chooses from.
func (s *Store) candidates() []candidate {
	var list []candidate
	for _, c := range s.all() {
		if k, ok := c.candidate(); ok {
			list = append(list, k)
		}
	}
	return list
}

func (c *contents) candidate() (candidate, bool) {
	c.io.RLock()
	defer c.io.RUnlock()
	if !c.onDisk.Load() || c.pins.count > 0 {
		return candidate{}, false
	}
	k := candidate{of: c, lump: c.whole || c.adopted != nil}
	c.mu.RLock()
	for n, p := range maps.All(c.pages) {
		k.pages = append(k.pages, numbered{p, n})
	}
	c.mu.RUnlock()
	slices.SortFunc(k.pages, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	if k.lump || len(k.pages) == 0 { // files without blocks: they go as they are
		k.lump = true
		k.charge = fileCharge
		if a := c.adopted; a != nil {
			k.stamp = a.stamp
			k.charge += a.room.Load()
		}
		k.each(func(stamp uint32, charge int64) {
			k.stamp = max(k.stamp, stamp)
			k.charge += charge
		})
	}
	return k, true
}

// each calls fn with every block.
func (k *candidate) each(fn func(stamp uint32, charge int64)) {
	for _, p := range k.pages {
		p.each(func(i int64, slot *atomic.Uint64) {
			fn(stampOf(slot.Load()), k.of.charge(p.n*pageBlocks+i))
		})
	}
}

// oldestStamps returns the stamp up to which blocks must go for need bytes: the
// greatest there is when all of them are not enough. It finds the stamp byte by
// byte, from the highest: the bytes charged under each value of a byte are summed,
// and the value is taken at which the sum reaches the need.
func oldestStamps(candidates []candidate, need int64) uint32 {
	prefix := uint32(0)
	for shift := 24; shift >= 0; shift -= 8 {
		var sums [256]int64
		count := func(stamp uint32, charge int64) {
			if uint64(stamp)>>(shift+8) == uint64(prefix) {
				sums[byte(stamp>>shift)] += charge
			}
		}
		for i := range candidates {
			if k := &candidates[i]; k.lump {
				count(k.stamp, k.charge)
			} else {
				k.each(count)
			}
		}
		value := uint32(0)
		for ; value < 255 && sums[value] < need; value++ {
			need -= sums[value]
		}
		prefix = prefix<<8 | value
	}
	return prefix
}

// evict removes blocks with stamps up to limit, run by run, until need bytes are
// freed, and returns how many were.
func (k *candidate) evict(limit uint32, need int64) (freed int64) {
	if k.lump {
		if k.stamp > limit {
			return 0
		}
		return k.of.evictWhole(k.stamp)
	}
	for _, p := range k.pages {
		for i := 0; i < pageBlocks && freed < need; i++ {
			if v := p.slots[i].Load(); isPresent(v) && stampOf(v) <= limit {
				freed += k.of.evictRun(p, i, limit, need-freed)
			}
		}
	}
	if k.of.present.Load() == 0 {
		freed += k.of.evictWhole(limit)
	}
	return freed
}

// evictRun removes the run of old blocks that begins at place i of the page, and
// returns what they counted. Readers of the image wait for one run at most.
func (c *contents) evictRun(p numbered, i int, limit uint32, need int64) (freed int64) {
	c.io.Lock()
	defer c.io.Unlock()
	if c.pins.count > 0 || c.whole || c.openFiles(false) != nil || c.pages[p.n] != p.page {
		return 0
	}
	first := p.n*pageBlocks + int64(i)
	end, expected := first, int64(0)
	for ; end < (p.n+1)*pageBlocks && expected < need; end++ {
		v := p.slots[end%pageBlocks].Load()
		if !isPresent(v) || stampOf(v) > limit {
			break
		}
		expected += c.charge(end)
	}
	if end == first {
		return 0
	}
	c.store.counts.evicted.Add(end - first)
	return c.erase(p.page, first, end)
}

// evictWhole removes the files of an image whose blocks are all gone or may only
// go together, unless one was used after the given stamp, and returns what they
// counted.
func (c *contents) evictWhole(stamp uint32) (freed int64) {
	c.io.Lock()
	young := false
	for _, p := range c.pages {
		p.each(func(_ int64, slot *atomic.Uint64) { young = young || stampOf(slot.Load()) > stamp })
	}
	if !young && c.pins.count == 0 {
		c.store.counts.evicted.Add(c.present.Load())
		freed = c.clear()
	}
	c.io.Unlock()
	c.forget()
	return freed
}
