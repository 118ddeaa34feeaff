package prefetch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

const (
	// spoolIdle is how long a stream may be paused without a waiter before it is
	// ended: longer than a program usually computes between two reads, shorter
	// than the 30 s after which proxies commonly close a connection that does not
	// move.
	spoolIdle = 15 * time.Second

	// spoolYield is how long a stream must have been paused before it gives its
	// place to another image's that waits: its own reader would have to begin
	// again from byte 0, so a short breath is no reason.
	spoolYield = 2 * time.Second

	// spoolTenure is how long another image's stream waits for a place at most
	// before any pause, however short, ends a stream: a reader slower than its
	// stream pauses it all the time and must not hold the place to the end.
	spoolTenure = 30 * time.Second

	// spoolTries is how many streams may break under one waiting read before it
	// gets the error. Counted for each waiter, for a stream that breaks at 5 GiB
	// serves those before 5 GiB each time.
	spoolTries = 3

	// The pause before a broken stream is begun again: long enough for a service
	// that restarts a worker, short beside the time of the bytes that are read
	// again.
	spoolRetryFirst = 500 * time.Millisecond
	spoolRetryMost  = 5 * time.Second
)

// spool is one image's whole stream and those who wait for it.
type spool struct {
	engine  *Engine
	key     image.Key
	img     image.Image
	file    *cache.File
	count   int64 // blocks of the image
	readers int   // guarded by Engine.mu

	ctx    context.Context // ends when the spool is shut
	cancel context.CancelFunc
	wake   chan struct{} // tells a paused stream to look again; holds one signal

	mu      sync.Mutex // guards the fields below
	closed  bool
	running bool // the goroutine lives
	paused  bool
	began   time.Time // of the stream; zero while it waits for a place
	progress
	waiters []*waiter
}

func newSpool(e *Engine, key image.Key, img image.Image) *spool {
	s := &spool{engine: e, key: key, img: img, file: e.o.Cache.Open(key, img), wake: make(chan struct{}, 1)}
	s.count = cache.Blocks(s.file.Size())
	s.ctx, s.cancel = context.WithCancel(e.ctx)
	return s
}

// shut ends the spool; its goroutine fails the waiters. It may be called more than
// once.
func (s *spool) shut() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.file.Close() //nolint:errcheck // always nil
}

func (s *spool) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// signal makes a paused stream look again.
func (s *spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run streams the image, again and again, as long as somebody waits.
func (s *spool) run() {
	delay := backoff.NewExponentialBackOff()
	delay.InitialInterval, delay.MaxInterval = spoolRetryFirst, spoolRetryMost
	for {
		err := s.stream()
		if !s.again(err) {
			return
		}
		if err == nil {
			delay.Reset()
			continue
		}
		_ = image.Pause(s.ctx, delay.NextBackOff()) // its end ends the next stream, too
	}
}

// again settles the outcome of a stream with the waiters and reports whether to
// begin another.
func (s *spool) again(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused, s.began = false, time.Time{}
	if s.closed || s.ctx.Err() != nil {
		err = &image.Error{Op: "read", Image: s.key.ID, Err: errClosed}
		s.fail(err, func(*waiter) bool { return true })
	} else if err != nil {
		s.fail(err, func(w *waiter) bool {
			w.broken++
			return !worthRetry(err) || w.broken >= spoolTries || s.file.Wrong() != nil
		})
		s.engine.log.Warn("the stream of an image broke; it begins again while somebody waits for it",
			slog.String("image", s.key.ID), slog.Int("waiting", len(s.waiters)), slog.Any("error", err))
	}
	s.running = len(s.waiters) > 0
	return s.running
}

// worthRetry tells failures of a connection from answers that will be the same next
// time. Where nothing answered, the client has spent its own retries.
func worthRetry(err error) bool {
	switch image.KindOf(err) {
	case image.Other, image.Unavailable, image.Stalled, image.Corrupt:
		return true
	default:
		return false
	}
}

// stream reads the image once from byte 0, as far as anybody needs it. It returns
// nil when it ended for want of a waiter, at the end of the image, or to begin again.
func (s *spool) stream() error {
	if err := s.engine.places.take(s.ctx); err != nil {
		return err
	}
	defer s.engine.places.give()
	if !s.rewind() {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	body, err := s.engine.o.Whole.OpenWhole(ctx, s.img)
	if err != nil {
		return s.failure(err)
	}
	defer func() {
		if err := body.Close(); err != nil {
			s.engine.log.Debug("closing the stream of an image failed; what it brought is kept", slog.String("image", s.key.ID), slog.Any("error", err))
		}
	}()
	buffer := make([]byte, cache.BlockSize)
	for index := int64(0); index < s.count; index++ {
		if !s.proceed() {
			return nil
		}
		data := buffer[:cache.BlockSpan(index, s.file.Size()).Len]
		if _, err := io.ReadFull(body, data); err != nil {
			return s.failure(err)
		}
		if err := s.file.Wrong(); err != nil {
			return err
		}
		s.deliver(index, data)
	}
	return nil
}

// failure gives the end of a body its kind.
func (s *spool) failure(err error) error {
	var known *image.Error
	if errors.As(err, &known) {
		return err
	}
	kind := image.KindOf(err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		kind = image.Corrupt
	}
	return &image.Error{Op: "read", Image: s.key.ID, Kind: kind, Detail: "the stream of the whole image broke", Err: err}
}

// rewind sets the stream to byte 0 and reports whether anybody waits for it.
func (s *spool) rewind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress, s.began = progress{near: -1}, time.Now()
	return len(s.waiters) > 0
}

// proceed waits until the next block may be read and reports whether it shall be;
// if not, the stream ends here.
func (s *spool) proceed() bool {
	var since time.Time
	for {
		lead := s.engine.lead()
		s.mu.Lock()
		next := s.decide(s.waiters, lead)
		s.paused = next == pause
		s.mu.Unlock()
		if next != pause {
			return next == goOn
		}
		if since.IsZero() {
			since = time.Now()
		}
		idle := time.Since(since)
		wanted, contended := s.engine.places.wanted()
		if idle >= spoolIdle || contended && (idle >= spoolYield || wanted >= spoolTenure) {
			return false
		}
		timer := time.NewTimer(spoolYield)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.ctx.Done():
		}
		timer.Stop()
		if s.ctx.Err() != nil {
			return false
		}
	}
}

// deliver hands a block to the cache, which may wait for its disk a while and so gets it
// without the lock, and to those who wait for it.
func (s *spool) deliver(index int64, data []byte) {
	s.file.Add(index, data) // the length is the block's; a closed file keeps nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.waiters[:0]
	for _, w := range s.waiters {
		if w.fill(index, data) {
			s.near = max(s.near, index)
		}
		if len(w.need) == 0 {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waiters[len(kept):])
	s.waiters = kept
	s.pos = index + 1
}
