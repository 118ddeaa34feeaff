package cache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// Source opens spans of images on the service.
type Source interface {
	// OpenSpan returns a body that yields exactly s.Len bytes, or an error. ctx
	// governs the body too: when it ends, a Read that waits fails. The caller
	// closes the body, once.
	OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error)
}

// Options configure a Cache.
type Options struct {
	Memory  int64 // budget of the resident blocks in bytes; less than one block keeps none
	Streams int   // most fetches at once; less than 1 counts as 1
	Source  Source
	Disk    *disk.Store // nil: no cache on disk; the caller closes it after the Cache
	// Prefetches returns how many prefetches may run at once now, at least 1. They never
	// take more than half of Streams, which is what nil stands for. It is called under
	// the cache's lock.
	Prefetches func() int
	// Long reports whether requests are so dear now that the one of a prefetch should go
	// on for what its reader wants next; nil: never. It is called under the cache's lock.
	Long   func() bool
	Logger *slog.Logger // nil: no log
}

// Cache holds blocks of all images. It is safe for concurrent use.
type Cache struct {
	source     Source
	log        *slog.Logger
	disk       *disk.Store // nil: none
	streams    int
	prefetches func() int  // nil: half of the streams
	long       func() bool // nil: never
	piece      int64       // most blocks that one read holds or waits for at a time

	unwritten chan struct{} // one for each block that waits for the disk
	diskStuck atomic.Int64  // nobody waits for the disk before; nanoseconds since 1970, 0 never

	ctx    context.Context // ends with Close; parent of every fetch
	cancel context.CancelFunc
	wg     sync.WaitGroup // running fetches and writers

	mu       sync.Mutex // guards the fields below and everything they lead to
	closed   bool
	images   map[identity]*contents
	memory   *memory
	demand   queue               // fetches that a reader waits for
	prefetch queue               // fetches that nobody waits for yet
	running  int                 // fetches that hold a place
	ahead    int                 // those of them that began as prefetch
	resting  map[*fetch]struct{} // those of them that wait for their reader
	counts   counts
	leaving  []*disk.Image // of pruned images, to be closed by unlock
}

// counts are the totals since New.
type counts struct {
	hits, diskHits, misses, fetched, requests int64

	read  [sources]int64 // bytes that readers got
	ahead int64          // bytes that came before a read wanted them
	idle  int64          // bytes that came when nobody wanted them any more
}

// source is where readers get bytes from.
type source uint8

const (
	fromMemory source = iota
	fromDisk
	fromService // a read has waited for them
	sources
)

// identity tells images apart: a record whose size differs has other bytes, even
// where the service repeats a key.
type identity struct {
	key  image.Key
	size int64
}

// contents are the cached and pending blocks of one image. They are dropped when
// no File, no resident and no pending block is left.
type contents struct {
	cache    *Cache
	id       identity
	disk     *disk.Image // nil: no cache on disk
	img      image.Image // the record as last opened
	files    int         // open Files
	opened   time.Time   // last
	resident int         // blocks in the memory tier
	pending  map[int64]*pending
	long     *fetch // the last one whose request was long

	unwritten []unwritten
	writing   bool // somebody writes them
	keeping   int  // fetches with a block that is to be written

	wrong  bool // see Cache.Drop
	pruned bool
}

// New returns a cache. Close ends it.
func New(o Options) *Cache {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	streams := max(1, o.Streams)
	c := &Cache{
		source:     o.Source,
		log:        o.Logger,
		disk:       o.Disk,
		streams:    streams,
		prefetches: o.Prefetches,
		long:       o.Long,
		// An eighth of the budget: with few bytes to spend, a long read takes
		// them in small pieces instead of pinning the sum of them.
		piece:     min(max(1, o.Memory/8/BlockSize), pieceBlocks),
		images:    map[identity]*contents{},
		resting:   map[*fetch]struct{}{},
		unwritten: make(chan struct{}, mostUnwritten),
		memory:    newMemory(o.Memory),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Open returns a view of the image's bytes. The caller closes it.
func (c *Cache) Open(key image.Key, img image.Image) *File {
	c.mu.Lock()
	defer c.unlock()
	id := identity{key: key, size: max(0, img.Size)}
	e := c.images[id]
	if e != nil && e.bad() {
		c.drop(e)
		e = nil
	}
	if e == nil {
		e = &contents{cache: c, id: id, pending: map[int64]*pending{}}
		if c.disk != nil {
			e.disk = c.disk.Image(key, img)
		}
		c.images[id] = e
	}
	e.img = img
	e.files++
	e.opened = time.Now()
	return &File{cache: c, of: e, size: id.size, wants: map[int64]*pending{}}
}

// prune forgets the image when nothing is left of it. Cache.mu is held.
func (e *contents) prune() {
	if e.pruned || e.files > 0 || e.resident > 0 || len(e.pending) > 0 || e.keeping > 0 || e.writing {
		return
	}
	e.pruned = true
	if e.cache.images[e.id] == e {
		delete(e.cache.images, e.id)
	}
	if e.disk != nil {
		e.cache.leaving = append(e.cache.leaving, e.disk)
	}
}

// unlock unlocks Cache.mu, and has what was pruned under it closed: that may write to the
// disk, for which nobody waits before Close.
func (c *Cache) unlock() {
	leaving, closed := c.leaving, c.closed
	c.leaving = nil
	if len(leaving) > 0 && !closed {
		c.wg.Go(func() { closeAll(leaving) })
	}
	c.mu.Unlock()
	if closed {
		closeAll(leaving)
	}
}

func closeAll(images []*disk.Image) {
	for _, d := range images {
		d.Close()
	}
}

// errClosed is the cause of every failure after Close.
var errClosed = errors.New("the cache is closed")

// Close fails all waiting reads, ends all fetches and waits for their goroutines.
// It may be called more than once.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.cancel()
	for _, e := range c.images {
		for _, p := range e.pending {
			c.end(p.fetch, readError(e.img.ID, errClosed))
		}
	}
	c.unlock()
	c.wg.Wait()
}

// Stats is a snapshot for status and metrics.
type Stats struct {
	Memory         int64 // bytes of the budget that resident blocks take
	Budget         int64 // bytes
	Blocks         int   // resident blocks
	Images         int   // images that are open or have resident blocks
	Hits           int64 // blocks that a read found resident
	DiskHits       int64 // blocks that a read found on the disk
	Misses         int64 // blocks that a read had to fetch or wait for
	Fetched        int64 // bytes that arrived from the service
	FromMemory     int64 // bytes that readers got, from blocks that were resident
	FromDisk       int64 // the same from the disk
	FromService    int64 // the same from blocks that they had to wait for
	Ahead          int64 // bytes that arrived before a read wanted them
	Wasted         int64 // bytes of them that left memory unread, and bytes that arrived when nobody wanted them any more
	Evicted        int64 // blocks that left memory for others
	Requests       int64 // spans asked for
	Running        int   // fetches that hold a place
	QueuedDemand   int   // fetches that readers wait for and that have no place yet
	QueuedPrefetch int   // fetches ahead of readers that have no place yet
}

// Stats returns the current figures.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.unlock()
	return Stats{
		Memory: c.memory.used, Budget: c.memory.budget, Blocks: c.memory.order.Len(), Images: len(c.images),
		Hits: c.counts.hits, DiskHits: c.counts.diskHits, Misses: c.counts.misses, Fetched: c.counts.fetched, Requests: c.counts.requests,
		FromMemory: c.counts.read[fromMemory], FromDisk: c.counts.read[fromDisk], FromService: c.counts.read[fromService],
		Ahead: c.counts.ahead, Wasted: c.counts.idle + c.memory.unread, Evicted: c.memory.evictions,
		Running: c.running, QueuedDemand: c.demand.len, QueuedPrefetch: c.prefetch.len,
	}
}

// readError gives a failure its kind: what the source said, or else why its body
// or a wait ended.
func readError(id string, err error) error {
	var known *image.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &image.Error{Op: "read", Image: id, Kind: image.Corrupt, Detail: "fewer bytes came than were asked for", Err: err}
	default:
		return &image.Error{Op: "read", Image: id, Kind: image.KindOf(err), Err: err}
	}
}
