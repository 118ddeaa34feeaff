package prefetch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

// Whole opens whole images on the service.
type Whole interface {
	// OpenWhole returns a body that yields exactly img.Size bytes, or an error.
	// ctx governs the body too: when it ends, a Read that waits fails. The caller
	// closes the body, once.
	OpenWhole(ctx context.Context, img image.Image) (io.ReadCloser, error)
}

// Options configure an Engine.
type Options struct {
	Cache   *cache.Cache
	Whole   Whole
	Service string       // identity of the service in the keys of its images
	Memory  int64        // budget of the cache in bytes: half of it bounds all windows together
	Streams int          // most data transfers at once in the client; less than 1 counts as 1
	Logger  *slog.Logger // nil: no log
}

const (
	// recent is how long a reader counts as streaming after its last read. Longer
	// than a program that works on what it read usually pauses, short enough that
	// idle handles do not keep the others' windows small.
	recent = 10 * time.Second

	// recount is how old the number of streaming readers may be: counting them
	// at each read would cost more than it tells.
	recount = time.Second

	// mostLead is how far a spool may be ahead of its furthest reader at most, in
	// bytes: at 400 MB/s it covers 80 ms in which nobody reads.
	mostLead = 32 << 20
)

// Engine makes Readers of one service's images and shares memory and streams among
// them. It is safe for concurrent use.
type Engine struct {
	o       Options
	log     *slog.Logger
	window  int64 // most bytes ahead of one reader, however much memory there is
	places  *places
	ctx     context.Context // ends with Close; parent of every stream
	cancel  context.CancelFunc
	streams sync.WaitGroup // goroutines of spools

	mu        sync.Mutex // guards the fields below
	closed    bool
	readers   map[*Reader]struct{}
	spools    map[image.Key]*spool
	streaming int       // readers with a window, as last counted
	counted   time.Time // when
}

// New returns an engine. Close ends it; the caller closes the cache after it.
func New(o Options) *Engine {
	o.Streams = max(1, o.Streams)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		o: o, log: o.Logger,
		// One request under way and one queued for each stream keep all busy.
		window:  2 * int64(o.Streams) * cache.MaxSpan,
		places:  newPlaces(max(1, o.Streams-1)),
		readers: map[*Reader]struct{}{},
		spools:  map[image.Key]*spool{},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Open returns a reader of the image. The caller closes it.
func (e *Engine) Open(img image.Image) *Reader {
	key := img.Key(e.o.Service)
	r := &Reader{engine: e, key: key, img: img, file: e.o.Cache.Open(key, img)}
	r.window.size = r.file.Size()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readers[r] = struct{}{}
	if s := e.spools[key]; s != nil { // its store is known to serve no ranges
		s.readers++
		r.spool.Store(s)
	}
	return r
}

// errClosed is the cause of failures after Close.
var errClosed = errors.New("the reader is closed")

// Close ends all spools, fails those that wait for them, and waits for their
// goroutines. It may be called more than once.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	for _, s := range e.spools {
		s.shut()
	}
	e.mu.Unlock()
	e.cancel()
	e.streams.Wait()
}

// limit returns how many bytes may be ahead of one reader now: its share of half
// of the memory. Half, because a block that was read is as new as one that was just
// fetched: both kinds pass through memory between a fetch and its reader.
func (e *Engine) limit(now time.Time) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.counted) >= recount {
		e.counted = now
		e.streaming = 0
		for r := range e.readers {
			if r.streams(now) {
				e.streaming++
			}
		}
	}
	return min(e.o.Memory/2/int64(max(1, e.streaming)), e.window)
}

// began notes a reader that has opened its first window: the others make room at
// once.
func (e *Engine) began() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streaming++
}

// lead returns how far one spool may be ahead of its furthest reader, in blocks: its
// share of a quarter of the memory. With very little memory it is 0, and a stream
// brings only what somebody waits for.
func (e *Engine) lead() int64 {
	return min(e.o.Memory/4/int64(max(1, e.places.taken())), mostLead) / cache.BlockSize
}

// join returns the image's spool for one more reader, which leaves it by part.
func (e *Engine) join(key image.Key, img image.Image) *spool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.spools[key]
	if s == nil {
		s = newSpool(e, key, img)
		e.spools[key] = s
	}
	if e.closed {
		s.shut()
	}
	s.readers++
	return s
}

// part ends one reader's use of a spool, and the spool with its last reader.
func (e *Engine) part(s *spool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.readers--
	if s.readers > 0 {
		return
	}
	if e.spools[s.key] == s {
		delete(e.spools, s.key)
	}
	s.shut()
}

// Stats is a snapshot for status and metrics.
type Stats struct {
	Readers   int // open readers
	Streaming int // of them, with a window now
	Spools    int // images read as whole streams
	Paused    int // of them, with a stream that waits for its readers
	Running   int // streams that hold a place
	Waiting   int // spools that wait for a place
}

// Stats returns the current figures.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	st := Stats{Readers: len(e.readers), Spools: len(e.spools), Running: e.places.taken(), Waiting: e.places.waiting()}
	for r := range e.readers {
		if r.streams(now) {
			st.Streaming++
		}
	}
	for _, s := range e.spools {
		if s.isPaused() {
			st.Paused++
		}
	}
	return st
}
