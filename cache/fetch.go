package cache

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// class says why a fetch was begun: because a reader waits, or ahead of one.
type class bool

const (
	demand class = false
	ahead  class = true
)

// fetch is one request, under way or still to be made, for a run of neighbouring
// blocks. Guarded by Cache.mu.
type fetch struct {
	of       *contents
	class    class
	blocks   []*pending // not arrived yet, neighbouring, ascending; the first arrives next
	interest int        // sum over blocks
	running  bool       // it has a place and a goroutine
	over     bool       // ended: all arrived, failed, or nobody is interested
	long     *long      // nil: its request ends with its blocks
	cancel   context.CancelFunc
}

// begin makes fetches of a run of fresh pending blocks, or lengthens a queued
// demand fetch or a long request that the run continues, and starts what finds a place.
// Cache.mu is held.
func (c *Cache) begin(run []*pending, k class) {
	if len(run) == 0 {
		return
	}
	var f *fetch
	if k == demand {
		f = c.neighbour(run)
	} else {
		f = c.lengthen(run)
	}
	if f == nil {
		f = &fetch{of: run[0].of, class: k, blocks: run}
		c.queue(k).push(f)
	}
	for _, p := range run {
		p.fetch = f
		f.interest += p.interest()
	}
	c.schedule()
}

// neighbour joins the run, which readers wait for, to a queued fetch that ends where it
// begins or begins where it ends, and returns that fetch; nil when there is none with
// room. What is prefetched comes in the requests that the caller wants.
func (c *Cache) neighbour(run []*pending) *fetch {
	e, first, last := run[0].of, run[0].index, run[len(run)-1].index
	fits := func(p *pending) bool {
		return p != nil && p.fetch != nil && !p.fetch.running && p.fetch.class == demand &&
			len(p.fetch.blocks)+len(run) <= spanBlocks
	}
	if p := e.pending[first-1]; fits(p) {
		p.fetch.blocks = append(p.fetch.blocks, run...)
		return p.fetch
	}
	if p := e.pending[last+1]; fits(p) {
		p.fetch.blocks = slices.Concat(run, p.fetch.blocks)
		return p.fetch
	}
	return nil
}

// promote makes a demand fetch of what a reader waits for, from the block p on, if a
// prefetch was to bring it: one that is still queued, or one under way that is so far
// behind p that a request of its own is sooner, if there is a place for it. What lies
// before p stays with the prefetch, and what is longer than MaxSpan becomes another,
// the next of its image. Cache.mu is held.
func (c *Cache) promote(p *pending, reader *File) {
	f := p.fetch
	at := p.index - f.blocks[0].index
	near := int64(spanBlocks)
	if slices.Contains(p.owners, reader) {
		near = ownBehind
	}
	switch {
	case f.running && (at <= near || c.running >= c.streams), !f.running && f.class == demand:
		return
	case at == 0:
		c.prefetch.remove(f)
	default:
		before := f
		f = before.cut(at)
		if before.interest == 0 {
			c.end(before, nil)
		}
	}
	if len(f.blocks) > spanBlocks {
		if rest := f.cut(spanBlocks); rest.interest > 0 {
			c.prefetch.pushFront(rest)
		} else { // whoever wanted it is gone
			c.end(rest, nil)
		}
	}
	f.class = demand
	c.demand.push(f)
	c.schedule()
}

// cut takes the blocks from the given one on away from the fetch and returns a
// prefetch of them, which is in no queue yet. Cache.mu is held.
func (f *fetch) cut(at int64) *fetch {
	rest := &fetch{of: f.of, class: ahead, blocks: slices.Clone(f.blocks[at:])}
	f.blocks = f.blocks[:at:at]
	f.long = nil
	for _, p := range rest.blocks {
		p.fetch = rest
		rest.interest += p.interest()
	}
	f.interest -= rest.interest
	return rest
}

// queue returns where fetches of the class wait.
func (c *Cache) queue(k class) *queue {
	if k == demand {
		return &c.demand
	}
	return &c.prefetch
}

// schedule gives the free places away: to demand first, to prefetch half of them, or
// fewer where more do not pay: it asks for much at a time, so that a reader who comes
// would wait long for a place. Cache.mu is held.
func (c *Cache) schedule() {
	most := max(1, c.streams/2)
	if c.prefetches != nil {
		most = min(most, c.prefetches())
	}
	for !c.closed && c.running < c.streams {
		f := c.demand.pop()
		if f == nil && c.ahead < most {
			f = c.prefetch.pop()
		}
		if f == nil {
			break
		}
		c.start(f)
	}
	if c.demand.len+c.prefetch.len > 0 {
		c.endResting()
	}
}

// start runs a fetch that has left its queue. Cache.mu is held.
func (c *Cache) start(f *fetch) {
	// What lost all interest while it waited at either end is not asked for.
	idle := func(p *pending) bool { return p.interest() == 0 }
	for idle(f.blocks[0]) {
		f.blocks[0].forget()
		f.blocks = f.blocks[1:]
	}
	for last := len(f.blocks) - 1; idle(f.blocks[last]); last-- {
		f.blocks[last].forget()
		f.blocks = f.blocks[:last]
	}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(c.ctx)
	f.running = true
	c.running++
	if f.class == ahead {
		c.ahead++
	}
	c.counts.requests++
	span := image.Span{Off: f.blocks[0].index * BlockSize, Len: c.ask(f) * BlockSize}.Clip(f.of.id.size)
	img := f.of.img
	began := f.class
	c.wg.Go(func() {
		err := c.run(ctx, f, img, span)
		c.mu.Lock()
		defer c.unlock()
		f.cancel()
		c.end(f, err)
		c.running--
		if began == ahead {
			c.ahead--
		}
		c.schedule()
	})
}

// run makes the request and publishes its blocks as they arrive, until all have,
// nobody is interested in the rest, or it fails.
func (c *Cache) run(ctx context.Context, f *fetch, img image.Image, span image.Span) error {
	body, err := c.source.OpenSpan(ctx, img, span)
	if err != nil {
		return readError(img.ID, err)
	}
	defer func() {
		if err := body.Close(); err != nil {
			c.log.Debug("closing the body of a span failed; its blocks are kept", slog.String("image", img.ID), slog.Any("error", err))
		}
	}()
	for index := span.Off / BlockSize; ; index++ {
		want := BlockSpan(index, span.End())
		c.mu.Lock()
		if f.rests() && !c.rest(ctx, f) || f.over {
			c.unlock()
			return nil
		}
		data := c.memory.buffer(want.Len)
		c.unlock()

		_, err := io.ReadFull(body, data)

		c.mu.Lock()
		if err != nil {
			c.memory.recycle(data)
			c.unlock()
			return readError(img.ID, err)
		}
		b := c.publish(f, index, data)
		f.of.keeping++
		c.unlock()
		c.keep(f.of, index, b)
	}
}

// publish makes the next block of a fetch resident and hands it to its waiters. It
// returns it pinned for the caller; the buffer is the cache's from here on. Cache.mu
// is held.
func (c *Cache) publish(f *fetch, index int64, data []byte) *block {
	c.counts.fetched += int64(len(data))
	b := &block{data: data, refs: 1}
	if f.over { // nobody waited for the rest
		c.counts.idle += int64(len(data))
		return b
	}
	p := f.blocks[0]
	if p.waiters == 0 {
		b.ahead = true
		c.counts.ahead += int64(len(data))
	}
	f.blocks = f.blocks[1:]
	f.interest -= p.interest()
	c.memory.put(blockID{f.of, index}, b)
	p.settle(b, nil)
	if f.interest == 0 && !f.rests() {
		c.end(f, nil)
	}
	return b
}

// lose notes that one interest in a fetch is gone, and ends it with the last.
// Cache.mu is held.
func (c *Cache) lose(f *fetch) {
	f.interest--
	if f.interest == 0 {
		c.end(f, nil)
	}
}

// end fails what has not arrived and forgets it; who asks again begins a new
// fetch. err is nil when nobody is interested in the rest. A second call does
// nothing. Cache.mu is held.
func (c *Cache) end(f *fetch, err error) {
	if f.over {
		return
	}
	f.over = true
	if f.running {
		f.cancel()
	} else {
		c.queue(f.class).remove(f)
	}
	if err != nil && f.class == ahead && !c.closed {
		c.log.Debug("fetching ahead failed; a read of these bytes tries again", slog.String("image", f.of.img.ID), slog.Any("error", err))
	}
	for _, p := range f.blocks {
		p.settle(nil, err)
	}
	f.blocks = nil
}
