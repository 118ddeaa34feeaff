package catalog

import (
	"context"
	"time"

	"github.com/imagefs/imagefs/image"
)

// pass reads the whole listing, and makes dir what it says in place: each page's
// records are put as they come, and what none had is removed at the end. One that
// fails leaves what it has learned, and removes nothing.
type pass struct {
	request
	began since
	// What the first one brings: a stream of entries, and one of ids once that is asked
	// for. Where a complete listing is known, none.
	streams []*stream
}

// beginPass joins or begins the pass. The caller holds mu.
func (c *Catalog) beginPass() *pass {
	if c.pass != nil {
		return c.pass
	}
	p := &pass{request: request{done: make(chan struct{})}, began: c.begin()}
	if !c.complete() {
		p.streams = []*stream{newStream(c, false)}
		c.walk = 0
	}
	c.pass, c.tried = p, p.began.at
	c.counts.refreshes++
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, refreshBound)
		defer cancel()
		whole, err := c.lister.ListImages(ctx, Query{}, func(page []image.Image) error {
			c.takePage(p, page)
			return ctx.Err()
		})
		if err == nil {
			whole, err = c.askUnseen(ctx, p, whole)
		}
		if err == nil {
			c.sweep(p, whole)
			c.catchUp(ctx, p)
		}
		c.endPass(p, err)
	})
	return p
}

// entries is the stream of entries of the first pass.
func (p *pass) entries() *stream { return p.streams[0] }

// ids is the stream of ids of the first pass. The caller holds mu.
func (p *pass) ids() *stream {
	if len(p.streams) == 1 {
		c, s := p.entries().c, newStream(p.entries().c, true)
		for _, it := range c.inOrder() {
			if it.row.seen >= p.began.seq { // not what lookups have learned before
				s.arrived(it.row)
			}
		}
		p.streams = append(p.streams, s)
	}
	return p.streams[1]
}

func (c *Catalog) takePage(p *pass, page []image.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	touched := map[string]bool{}
	for _, img := range page {
		r := c.take(img, p.began, touched)
		r.mark(p.began)
		for _, s := range p.streams {
			if r != nil {
				s.arrived(r)
			}
		}
	}
	for _, s := range p.streams {
		s.wake()
	}
	c.tell(touched)
}

// sweepRun is how many images are removed before others get at the catalog: each
// takes about a microsecond.
const sweepRun = 1024

// sweep removes what the pass has not seen, and nothing newer has brought. Where it may
// have missed an image, only what the one before has not seen either; where it was not
// whole, nothing. From here on dir is a complete listing, as far as the service can be
// understood.
func (c *Catalog) sweep(p *pass, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := p.began.seq
	switch {
	case !whole, c.partial && wanders(c.filter):
		before = 0
	case wanders(c.filter):
		before = c.passed.seq
	}
	c.partial = !whole
	touched := map[string]bool{}
	for i, id := range c.unseen(before) {
		if i%sweepRun == sweepRun-1 {
			c.mu.Unlock()
			c.mu.Lock()
		}
		if r := c.dir.get(id); r != nil && r.seen < before {
			c.leave(id, p.began, touched)
		}
	}
	c.tell(touched)
	c.answered()
	c.took, c.wasted, c.passed = time.Since(p.began.at), 0, p.began
	c.refreshed(p.began, c.took)
	for _, base := range c.known.Keys() { // the listing knows them now
		if s, _ := c.known.Peek(base); s.seq <= p.began.seq {
			c.known.Remove(base)
		}
	}
}

// catchUp asks for what was changed during a pass that took so long that its listing
// would be old at once.
func (c *Catalog) catchUp(ctx context.Context, p *pass) {
	if time.Since(p.began.at) < c.ttl/2 {
		return
	}
	c.mu.Lock()
	if c.deltaless() {
		c.mu.Unlock()
		return
	}
	d := c.beginDelta()
	c.mu.Unlock()
	_ = c.wait(ctx, d) // the next refresh tries again
}

func (c *Catalog) endPass(p *pass, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wasted = time.Since(p.began.at)
		c.failed(err)
	}
	c.end(p.began)
	c.pass = nil
	for _, s := range p.streams {
		s.end(err)
	}
	if err == nil && p.streams != nil {
		c.snapshotNow() // here, lest the next reader wait for all of it
	}
	p.err = err
	close(p.done)
}

// refreshed notes that dir is what the service listed when the refresh began. The
// caller holds mu.
func (c *Catalog) refreshed(began since, took time.Duration) {
	if began.seq > c.listed.seq {
		c.listed, c.walk = began, 0
	}
	if bound := deltaBound(c.newest, c.now(), took); bound.After(c.bound) {
		c.bound = bound
	}
}
