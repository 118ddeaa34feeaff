package model

import (
	"maps"
	"slices"

	"pgregory.net/rapid"
)

// names are few, so that operations meet.
var names = rapid.SampledFrom([]string{"a", "b", "c.img", "d.qcow2"})

// name draws mostly a name that is there.
func (w *world) name(rt *rapid.T) string {
	there := slices.Sorted(maps.Keys(w.files))
	if len(there) == 0 || rapid.IntRange(0, 7).Draw(rt, "any name") == 7 {
		return names.Draw(rt, "name")
	}
	return rapid.SampledFrom(there).Draw(rt, "name")
}

const (
	page  = 4096      // bytes, of the kernel's cache
	block = 128 << 10 // bytes, of the cache of images
	most  = 5 * block // the largest offset and size drawn
)

// sizes are mostly a few pages, and at times at the edges of what divides a file:
// pages, blocks of the cache, requests of the kernel.
var sizes = rapid.OneOf(
	rapid.IntRange(0, 3*page),
	rapid.IntRange(0, 3*page),
	rapid.SampledFrom([]int{0, 1, 511, 512, page - 1, page, page + 1, 2 * page}),
	rapid.SampledFrom([]int{block - 1, block, block + 1, 2*block + 17, 4 * block, 4*block + 1}),
	rapid.IntRange(0, most),
)

// lengths are sizes, but at least 1.
var lengths = rapid.Map(sizes, func(n int) int { return max(n, 1) })

// aligned is what O_DIRECT takes on a local disk.
func aligned(n int) int { return n / page * page }

// pattern is bytes none of which is 0, each unlike its neighbours.
func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((i+int(seed))%251) + 1
	}
	return p
}
