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
	// unloadedFor is how long the shortest wait for an answer is remembered at least: a
	// route that has become longer is not taken for a queue all day.
	unloadedFor = time.Minute

	// loneRequests is how many requests may be under way at once so that the wait for
	// an answer still says how far the service is, and not how busy we keep it.
	loneRequests = 4

	// queueing is how many times the unloaded wait a request waits for its answer when
	// requests count as queueing at the service.
	queueing = 3

	// worthwhile is how many times its wait the transfer of a request takes when the
	// wait no longer matters.
	worthwhile = 8

	// fewestRequests is how many a window is divided into at least, so that one is
	// always under way while another is read.
	fewestRequests = 2

	// firstRequests is how many at once before anything is known: 8 fill 400 MB/s at
	// 50 MB/s each.
	firstRequests = 8

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

	mu      sync.Mutex    // guards the fields below
	under   int           // requests that have begun and not ended
	ideal   float64       // requests at once
	recent  time.Duration // shortest wait since the time below; 0 none
	earlier time.Duration // shortest wait before it; 0 none
	since   time.Time
}

// NewPace measures source, which has at most streams transfers at once. Half of them
// are for what is fetched ahead.
func NewPace(source cache.Source, streams int) *Pace {
	p := &Pace{source: source, most: float64(max(1, streams/2))}
	p.ideal = min(firstRequests, p.most)
	return p
}

// OpenSpan opens a span of the source.
func (p *Pace) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	p.mu.Lock()
	p.under++
	m := &measured{pace: p, left: s.Len, beside: p.under}
	p.mu.Unlock()
	asked := time.Now()
	body, err := p.source.OpenSpan(ctx, img, s)
	if err != nil {
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
		return nil, err
	}
	m.ReadCloser, m.wait = body, max(1, time.Since(asked))
	return m, nil
}

// measured is the body of one request. One goroutine uses it.
type measured struct {
	io.ReadCloser
	pace     *Pace
	left     int64         // bytes
	beside   int           // requests under way when it began, itself included
	wait     time.Duration // for the answer
	transfer time.Duration // spent in Read
}

func (m *measured) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := m.ReadCloser.Read(p)
	m.transfer += time.Since(began)
	m.left -= int64(n)
	return n, err
}

func (m *measured) Close() error {
	err := m.ReadCloser.Close()
	m.pace.ended(m)
	return err
}

// ended learns from a request that is over.
func (p *Pace) ended(m *measured) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under--
	unloaded := p.unloaded(m)
	if m.left > 0 { // given up: how long it would have taken is not known
		return
	}
	good := max(queueing*unloaded, m.transfer/worthwhile)
	ideal := min(float64(m.beside)*float64(good)/float64(m.wait), p.most)
	if ideal < p.ideal && m.wait <= good { // few were under way: that more would wait is not said
		return
	}
	p.ideal += (ideal - p.ideal) / smoothing
}

// unloaded takes note of a request's wait for its answer, and returns how long that is
// where no other waits. What is remembered is not forgotten while all requests are
// many at once, for then nothing better is known; if the wait has become longer it
// looks like a queue, there are fewer requests at once, and it is measured anew. p.mu is
// held.
func (p *Pace) unloaded(m *measured) time.Duration {
	if now := time.Now(); p.recent > 0 && now.Sub(p.since) > unloadedFor {
		p.earlier, p.recent, p.since = p.recent, 0, now
	}
	if p.earlier == 0 && p.recent == 0 {
		p.since = time.Now()
	}
	if shortest := shorter(p.earlier, p.recent); m.beside <= loneRequests || m.wait < shortest || shortest == 0 {
		p.recent = shorter(p.recent, m.wait)
	}
	return shorter(p.earlier, p.recent)
}

// shorter returns the shorter of two waits that are known; 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Requests returns how many requests at once pay now, at least 1.
func (p *Pace) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(math.Round(max(min(fewestRequests, p.most), p.ideal)))
}
