package main

import (
	"math"
	"runtime/debug"

	"github.com/imagefs/imagefs/config"
)

// heapLimit, in bytes, is what Go's heap may hold before the collector works harder:
// the listing of a cloud of 50,000 images, as many inodes, and the buffers of all
// requests. The blocks of the cache lie outside of it.
const heapLimit = 256 << 20

// limitMemory keeps the process within GOMEMLIMIT, where that is set: half of it at
// most is for the blocks of the cache, which Go's runtime does not count, and the rest
// for its heap. It returns the memory cache's size.
func limitMemory(memory int64) int64 {
	whole := debug.SetMemoryLimit(-1) // what GOMEMLIMIT says; only asked for
	memory, heap := shareMemory(memory, whole)
	debug.SetMemoryLimit(heap)
	return memory
}

// shareMemory divides the whole, in bytes (math.MaxInt64: no limit), between the
// blocks of the cache and Go's heap.
func shareMemory(memory, whole int64) (blocks, heap int64) {
	if whole == math.MaxInt64 {
		return memory, heapLimit
	}
	blocks = max(min(memory, whole/2), config.MinMemory)
	return blocks, max(whole-blocks, 0)
}
