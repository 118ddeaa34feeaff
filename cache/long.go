package cache

import (
	"context"
	"time"
)

const (
	// mostLong is the most that a request asks for beyond what is wanted, in blocks. 256
	// MiB last a quarter of a second at 1 GB/s: beside that what a busy Glance needs for
	// a request, some 15 ms of a processor, is little.
	mostLong = 256 << 20 / BlockSize
	// leastLong is the shortest prefetch whose request may be long, in blocks. Who breaks
	// off has some mebibytes for nothing in the sockets' buffers, so its reader must have
	// a window of that size.
	leastLong = 1 << 20 / BlockSize
	// longPatience is how long a request is kept for a reader who is slower than it. It
	// has a place, and the service a connection that does not move.
	longPatience = time.Second
)

// long is the part of a request that goes beyond the blocks of its fetch. What is
// prefetched next and lies there becomes part of the fetch. Guarded by Cache.mu.
type long struct {
	next  int64         // the block behind those of the fetch
	end   int64         // the block behind those that were asked for
	ready chan struct{} // tells a fetch that rests of more blocks; holds one signal
}

// ask returns how many blocks the request of a fetch that starts is to ask for. It is a
// long one where requests are dear and no other waits for the place. Cache.mu is held.
func (c *Cache) ask(f *fetch) int64 {
	n := int64(len(f.blocks))
	if f.class == demand || n < leastLong || c.demand.len+c.prefetch.len > 0 || c.long == nil || !c.long() {
		return n
	}
	first := f.blocks[0].index
	end := min(first+n+mostLong, Blocks(f.of.id.size))
	f.long = &long{next: first + n, end: end, ready: make(chan struct{}, 1)}
	f.of.long = f
	return end - first
}

// lengthen adds a run of blocks to a long request that has come, or will come, to where
// the run begins, and returns its fetch; nil when there is none. A request that is not to
// go on, for it is long enough, others wait for its place, or it does not pay, ends with
// the blocks that it has. Cache.mu is held.
func (c *Cache) lengthen(run []*pending) *fetch {
	f, end := run[0].of.long, run[0].index+int64(len(run))
	switch {
	case f == nil || f.over || f.long == nil || f.long.next != run[0].index:
		return nil
	case f.long.end < end || c.demand.len+c.prefetch.len > 0 || !c.long():
		if f.rests() {
			c.end(f, nil)
		}
		f.long = nil
		return nil
	}
	f.blocks = append(f.blocks, run...)
	f.long.next = end
	select {
	case f.long.ready <- struct{}{}:
	default:
	}
	return f
}

// rests reports whether all blocks of the fetch have come, but its request goes on.
// Cache.mu is held.
func (f *fetch) rests() bool {
	return !f.over && len(f.blocks) == 0 && f.long != nil && f.long.next < f.long.end
}

// rest waits until the reader's prefetches have come up to a fetch that rests, and
// reports whether they have; if not, it is over. Cache.mu is held, but not meanwhile.
func (c *Cache) rest(ctx context.Context, f *fetch) bool {
	limit := time.NewTimer(longPatience)
	defer limit.Stop()
	c.resting[f] = struct{}{}
	c.schedule() // others may wait for the place
	for f.rests() {
		ready := f.long.ready
		c.unlock()
		ended := false
		select {
		case <-ready: // perhaps for blocks that have come since
		case <-limit.C:
			ended = true
		case <-ctx.Done():
			ended = true
		}
		c.mu.Lock()
		if ended && f.rests() {
			c.end(f, nil)
		}
	}
	delete(c.resting, f)
	return !f.over
}

// endResting ends what has a place and does not use it. Cache.mu is held.
func (c *Cache) endResting() {
	for f := range c.resting {
		if f.rests() {
			c.end(f, nil)
		}
	}
}
