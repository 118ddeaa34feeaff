package cache

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// BlockMap says where the blocks of one image are.
type BlockMap struct {
	Key   image.Key
	Size  int64     // bytes
	Files int       // open ones
	Used  time.Time // when it was last opened, or used on the disk
	Per   int64     // blocks of a Cell; the last one may have fewer
	Cells []Cell    // in the image's order
}

// Cell counts blocks of a part of an image, each once; those that it does not count are
// missing.
type Cell struct {
	Memory   int // in memory, and maybe on disk, too
	Disk     int // on disk only
	InFlight int // in a request under way
}

// BlockMaps looks at so many images at most, those that are open before the others and the
// last used first, and divides each into so many cells at most. Nobody waits while it
// counts, so that each image is shown as it was within a moment, not at one.
func (c *Cache) BlockMaps(images, cells int) []BlockMap {
	known, resident, coming := c.whereabouts()
	if c.disk != nil {
		for _, k := range c.disk.Latest(images) {
			id := identity{k.Key, k.Size}
			m := known[id]
			m.Key, m.Size = k.Key, k.Size
			if k.Used.After(m.Used) {
				m.Used = k.Used
			}
			known[id] = m
		}
	}
	list := slices.SortedFunc(maps.Values(known), func(a, b BlockMap) int {
		return cmp.Or(cmp.Compare(min(b.Files, 1), min(a.Files, 1)), b.Used.Compare(a.Used),
			cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Key.Version, b.Key.Version))
	})
	list = list[:min(images, len(list))]

	at := make(map[identity]int, len(list))
	counted := make([]map[int64]bool, len(list)) // blocks that are in a cell already
	for i := range list {
		m := &list[i]
		blocks, most := Blocks(m.Size), int64(cells)
		m.Per = (blocks + most - 1) / most
		m.Cells = make([]Cell, (blocks+m.Per-1)/m.Per)
		at[identity{m.Key, m.Size}] = i
		counted[i] = map[int64]bool{}
	}
	count := func(blocks []blockID, in func(*Cell)) {
		for _, b := range blocks {
			if i, ok := at[b.of.id]; ok && !counted[i][b.index] {
				counted[i][b.index] = true
				in(&list[i].Cells[b.index/list[i].Per])
			}
		}
	}
	count(resident, func(to *Cell) { to.Memory++ })
	count(coming, func(to *Cell) { to.InFlight++ })
	if c.disk != nil {
		for i, m := range list {
			c.disk.EachBlock(m.Key, m.Size, func(index int64) {
				if !counted[i][index] {
					m.Cells[index/m.Per].Disk++
				}
			})
		}
	}
	return list
}

// whereabouts copies what is known of images, and which of their blocks are in memory and
// which in a request under way.
func (c *Cache) whereabouts() (images map[identity]BlockMap, resident, coming []blockID) {
	c.mu.Lock()
	defer c.unlock()
	images = make(map[identity]BlockMap, len(c.images))
	for id, e := range c.images {
		if id.size == 0 {
			continue
		}
		images[id] = BlockMap{Key: id.key, Size: id.size, Files: e.files, Used: e.opened}
		for index, p := range e.pending {
			if p.fetch.running {
				coming = append(coming, blockID{e, index})
			}
		}
	}
	return images, c.memory.order.Keys(), coming
}
