package cache

import (
	"context"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// pending is a missing block that somebody is interested in. It is in its image's
// map and in one fetch until it has arrived or failed, or nobody wants it.
// Guarded by Cache.mu, but for block and err once done is closed.
type pending struct {
	of      *contents
	index   int64
	fetch   *fetch
	waiters int     // reads that wait for it
	owners  []*File // Files that want it ahead of their reader

	over  bool          // block or err is set
	done  chan struct{} // closed then
	block *block        // pinned once for each waiter
	err   error
}

// interest is how many want the block.
func (p *pending) interest() int { return p.waiters + len(p.owners) }

// wait returns the block when it has arrived. It ends with ctx; either way the
// caller releases the slot afterwards.
func (p *pending) wait(ctx context.Context) (*block, error) {
	select {
	case <-p.done: // also where ctx has ended
		return p.block, p.err
	default:
	}
	select {
	case <-p.done:
		return p.block, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// acquire fills the slots of a reader with the blocks from index first on: pinned where
// resident, else awaited where a fetch brings them already, else left to the disk
// where that has them; one fetch is begun for each run of the others. Cache.mu is
// held.
func (c *Cache) acquire(f *File, first int64, slots []slot, disk useOfDisk) {
	e := f.of
	var run []*pending
	for i := range slots {
		index := first + int64(i)
		if b := c.memory.get(blockID{e, index}); b != nil {
			c.counts.hits++
			slots[i].block = b
			c.begin(run, demand)
			run = nil
			continue
		}
		p := e.pending[index]
		if p == nil && disk == withDisk && e.onDisk(index) {
			c.begin(run, demand)
			run = nil
			continue
		}
		c.counts.misses++
		if p != nil {
			p.waiters++ // first: what begin starts leaves out the blocks that nobody is interested in
			p.fetch.interest++
			c.begin(run, demand)
			run = nil
			c.promote(p, f)
		} else {
			p = e.expect(index)
			p.waiters++
			run = append(run, p)
		}
		slots[i].await = p
	}
	c.begin(run, demand)
}

// pinned returns the block that the slot holds, nil while it waits for one or where
// none has come. Cache.mu is held.
func (s *slot) pinned() *block {
	if s.await != nil && s.await.over {
		return s.await.block
	}
	return s.block
}

// release ends a read's use of a slot: it no longer needs the block, or gives up
// waiting for it. Cache.mu is held.
func (c *Cache) release(s *slot) {
	if b := s.pinned(); b != nil {
		c.memory.unpin(b)
	} else if p := s.await; p != nil && !p.over {
		p.waiters--
		c.lose(p.fetch)
	}
}

// want makes the File an owner of every block of the spans that is neither resident
// nor on the disk, and begins fetches for those that nothing brings yet. Cache.mu is held.
func (f *File) want(spans []image.Span) {
	c := f.cache
	for _, s := range spans {
		first, end := blockRange(s.Clip(f.size))
		var run []*pending
		for index := first; index < end; index++ {
			p := f.of.pending[index]
			fresh := p == nil && !c.memory.touch(blockID{f.of, index}) && !f.of.onDisk(index)
			if fresh {
				p = f.of.expect(index)
				run = append(run, p)
			}
			if p != nil && !slices.Contains(p.owners, f) {
				p.owners = append(p.owners, f)
				f.wants[index] = p
				if !fresh {
					p.fetch.interest++
				}
			}
			if !fresh {
				c.begin(run, ahead)
				run = nil
			}
		}
		c.begin(run, ahead)
	}
}

// disown ends a File's interest in a block that has not arrived. Cache.mu is held.
func (c *Cache) disown(p *pending, f *File) {
	at := slices.Index(p.owners, f)
	if at < 0 {
		return
	}
	p.owners = slices.Delete(p.owners, at, at+1)
	delete(f.wants, p.index)
	c.lose(p.fetch)
}

// expect makes a block pending. The caller gives it to a fetch (begin) before the
// lock is released.
func (e *contents) expect(index int64) *pending {
	p := &pending{of: e, index: index, done: make(chan struct{})}
	e.pending[index] = p
	return p
}

// forget takes the block out of the image's map and tells its owners that it is
// no longer fetched for them. Cache.mu is held.
func (p *pending) forget() {
	delete(p.of.pending, p.index)
	for _, f := range p.owners {
		delete(f.wants, p.index)
	}
	p.owners = nil
	p.of.prune()
}

// settle hands the outcome to the waiters. Cache.mu is held.
func (p *pending) settle(b *block, err error) {
	p.forget()
	p.block, p.err, p.over = b, err, true
	if b != nil {
		b.refs += p.waiters
	}
	close(p.done)
}
