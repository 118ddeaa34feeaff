package prefetch

import (
	"context"
	"io"
	"math"
	"sync"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

const (
	// unloadedFor is how long the shortest wait for an answer is remembered: longer than
	// most images take to be read, short enough that a route that has become
	// longer is not taken for a queue all day.
	unloadedFor = time.Minute

	// patience is how many times the unloaded wait a request may wait for its answer
	// before requests count as queueing at the service.
	patience = 3

	// worthwhile is how many times its wait the transfer of a request takes when the
	// wait no longer matters.
	worthwhile = 8

	// fewest and first are how many requests at once a window is divided into at
	// least, so that one is always under way, and before anything is known: 8 fill
	// 400 MB/s at 50 MB/s each.
	fewest, first = 2, 8

	// smoothing is how many requests it takes to change the mind.
	smoothing = 4
)

// Pace finds by measurement how many requests at once the service answers well. A far
// service answers each as fast as it answers one alone: many short requests fill the
// link. One that is short of processors (a Glance of two workers takes 10 ms of
// them for each request) lets them queue: few long ones are faster there. It is a
// Source that measures another, and is safe for concurrent use.
type Pace struct {
	source cache.Source
	most   float64 // requests

	mu     sync.Mutex // guards the fields below
	under  int        // requests that have begun and not ended
	ideal  float64    // requests at once
	before time.Duration
	now    time.Duration // shortest wait of this minute and of the one before it; 0 none
	since  time.Time     // the beginning of this minute
}

// NewPace measures source, which has at most streams transfers at once. Half of them
// are for what is fetched ahead.
func NewPace(source cache.Source, streams int) *Pace {
	p := &Pace{source: source, most: float64(max(1, streams/2))}
	p.ideal = min(first, p.most)
	return p
}

// OpenSpan opens a span of the source.
func (p *Pace) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	p.mu.Lock()
	p.under++
	m := &measured{pace: p, left: s.Len, beside: p.under, asked: time.Now()}
	p.mu.Unlock()
	body, err := p.source.OpenSpan(ctx, img, s)
	if err != nil {
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
		return nil, err
	}
	m.ReadCloser, m.answered = body, time.Now()
	return m, nil
}

// measured is the body of one request.
type measured struct {
	io.ReadCloser
	pace            *Pace
	left            int64     // bytes
	beside          int       // requests under way when it began, itself included
	asked, answered time.Time // when it was
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.left -= int64(n)
	return n, err
}

func (m *measured) Close() error {
	m.pace.ended(m, time.Now())
	return m.ReadCloser.Close()
}

// ended learns from a request that is over.
func (p *Pace) ended(m *measured, now time.Time) {
	wait := max(1, m.answered.Sub(m.asked))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under--
	if now.Sub(p.since) > unloadedFor {
		p.before, p.now, p.since = p.now, 0, now
	}
	if p.now == 0 || wait < p.now {
		p.now = wait
	}
	if m.left > 0 { // given up: how long it would have taken is not known
		return
	}
	unloaded := p.now
	if p.before > 0 {
		unloaded = min(unloaded, p.before)
	}
	good := max(patience*unloaded, now.Sub(m.answered)/worthwhile)
	ideal := min(float64(m.beside)*float64(good)/float64(wait), p.most)
	if ideal < p.ideal && wait <= good { // few were under way: that more would wait is not said
		return
	}
	p.ideal += (ideal - p.ideal) / smoothing
}

// Requests returns how many requests at once pay now.
func (p *Pace) Requests() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(math.Round(max(min(fewest, p.most), p.ideal)))
}
