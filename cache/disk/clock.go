package disk

import (
	"sync/atomic"
	"time"
)

// clock gives the stamps by which blocks are ordered: seconds since 1970, which
// run ahead of the time while many bytes are used within a second. Stamps never
// go back.
type clock struct {
	now    func() time.Time
	step   int64 // bytes that may have one stamp
	latest atomic.Uint32
	used   atomic.Int64 // bytes since the stamp last moved because of them
}

// stamp returns the stamp of a use of n bytes now.
func (c *clock) stamp(n int64) uint32 {
	t := max(firstStamp, uint32(c.now().Unix()))
	if c.used.Add(n) >= c.step {
		c.used.Store(0)
		t = max(t, c.latest.Load()+1) // after the last number there is none: 0, and latest stays
	}
	for {
		l := c.latest.Load()
		if t <= l {
			return l
		}
		if c.latest.CompareAndSwap(l, t) {
			return t
		}
	}
}
