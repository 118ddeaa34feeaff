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
	Pace    *Pace        // the source of Cache; nil: as many requests at once as Streams allow
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

	// span is how many bytes of the largest window each stream has. 4 MiB: at 50 MB/s
	// such a request lasts 80 ms, so that a round trip of 20 ms is the smaller part.
	span = 4 << 20

	// leastShare is how many requests a reader's window is divided into however many
	// readers there are, if that many pay.
	leastShare = 4

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
	loads     map[*load]struct{}
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
		// Half of the streams are for what is fetched ahead.
		window:  max(1, int64(o.Streams)/2) * span,
		places:  newPlaces(max(1, o.Streams-1)),
		readers: map[*Reader]struct{}{},
		spools:  map[image.Key]*spool{},
		loads:   map[*load]struct{}{},
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
	if s := e.spools[key]; s != nil && s.file.Wrong() == nil { // its store is known to serve no ranges
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

// means returns what one reader may use now. Ahead of it may be its share of half of
// the memory: a block that was read is as new as one that was just fetched, and both
// kinds pass through memory between a fetch and its reader. Its requests are its share
// of those that pay, but not so few that they become longer than another reader wants
// to wait for a place.
func (e *Engine) means(now time.Time) means {
	requests := max(1, int64(e.o.Streams)/2)
	if e.o.Pace != nil {
		requests = int64(e.o.Pace.Requests())
	}
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
	readers := int64(max(1, e.streaming))
	return means{
		bytes:    min(e.o.Memory/2/readers, e.window),
		requests: max(requests/readers, min(requests, leastShare)),
	}
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

// attach gives the reader its image's spool, and every other reader of that image
// too: what they read from memory pulls the stream on and keeps it alive. Without a
// spool (nil) the reader has been closed. A reader whose bytes have turned out to be wrong
// keeps the spool that it had, and gets an error from it.
func (e *Engine) attach(r *Reader) *spool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, open := e.readers[r]; !open {
		return nil
	}
	if s := r.spool.Load(); s != nil {
		return s
	}
	s := newSpool(e, r.key, r.img)
	e.spools[r.key] = s
	for other := range e.readers {
		if other == r || other.key == r.key && other.spool.Load() == nil && other.file.Wrong() == nil {
			s.readers++
			other.spool.Store(s)
		}
	}
	if e.closed {
		s.shut()
	}
	return s
}

// leave forgets a reader, once, and ends its image's spool with the last one.
func (e *Engine) leave(r *Reader) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, open := e.readers[r]; !open {
		return
	}
	delete(e.readers, r)
	s := r.spool.Load()
	if s == nil {
		return
	}
	s.readers--
	if s.readers == 0 {
		if e.spools[s.key] == s {
			delete(e.spools, s.key)
		}
		s.shut()
	}
}

// Stats is a snapshot for status and metrics.
type Stats struct {
	Readers   int // open readers
	Streaming int // of them, with a window now
	Spools    int // images read as whole streams
	Paused    int // of them, with a stream that waits for its readers
	Running   int // streams that hold a place
	Waiting   int // spools that wait for a place

	Windows int   // runs that are fetched ahead of now; a reader may have several
	Ahead   int64 // how far, in bytes, all of them together
	Widest  int64 // the furthest of one, in bytes
}

// Stats returns the current figures.
func (e *Engine) Stats() Stats {
	st, streaming := e.stats()
	for _, r := range streaming {
		r.mu.Lock()
		for _, length := range r.window.lengths() {
			st.Windows++
			st.Ahead += length
			st.Widest = max(st.Widest, length)
		}
		r.mu.Unlock()
	}
	return st
}

// stats are the figures without the windows, and the readers that have some.
func (e *Engine) stats() (st Stats, streaming []*Reader) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	st = Stats{Readers: len(e.readers), Spools: len(e.spools), Running: e.places.taken(), Waiting: e.places.waiting()}
	for r := range e.readers {
		if r.streams(now) {
			streaming = append(streaming, r)
		}
	}
	st.Streaming = len(streaming)
	for _, s := range e.spools {
		if s.isPaused() {
			st.Paused++
		}
	}
	return st, streaming
}
