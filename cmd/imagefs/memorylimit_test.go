package main

import (
	"math"
	"testing"

	"github.com/imagefs/imagefs/config"
)

func TestShareMemory(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ memory, whole, blocks, heap int64 }{
		{256 * mib, math.MaxInt64, 256 * mib, heapLimit},
		{256 * mib, 2048 * mib, 256 * mib, 1792 * mib},
		{256 * mib, 300 * mib, 150 * mib, 150 * mib},
		{256 * mib, 20 * mib, config.MinMemory, 4 * mib},
		{256 * mib, 1 * mib, config.MinMemory, 0},
	} {
		if blocks, heap := shareMemory(c.memory, c.whole); blocks != c.blocks || heap != c.heap {
			t.Errorf("%d of %d: %d and %d, want %d and %d", c.memory, c.whole, blocks, heap, c.blocks, c.heap)
		}
	}
}
