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

	// longest is the longest request that a window is divided into, in bytes: half of the
	// widest one of the default of --streams.
	longest = 32 << 20

	// weighing is after how many bytes a request is compared with others: 16 MiB take no
	// longer than a third of a second at 50 MB/s.
	weighing = 16 << 20

	// tooSlow is by how many times one request alone may be slower than several at once:
	// how much they bring is only estimated.
	tooSlow = 2

	// smoothing is how many requests it takes to change the mind.
	smoothing = 4
)

// Pace finds by measurement how many requests at once the service answers well. A far
// service answers each as fast as it answers one alone: many short requests fill the
// link. One that is short of processors (a Glance of two workers takes 10 ms of
// them for each request) lets them queue: few long ones are faster there, or one that
// goes on. It is a Source that measures another, and is safe for concurrent use.
type Pace struct {
	source cache.Source
	most   float64 // requests

	mu      sync.Mutex    // guards the fields below
	under   int           // requests that have begun and not ended
	ideal   float64       // requests at once
	recent  time.Duration // shortest wait since the time below; 0 none
	earlier time.Duration // shortest wait before it; 0 none
	since   time.Time
	dear    time.Time // when requests were last found dear; zero after one that was not
	slow    time.Time // when one alone was last found too slow
	// together is what several at once bring, in bytes a second.
	together float64
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
	m := &measured{pace: p, length: s.Len, left: s.Len, weighed: s.Len, beside: p.under, alone: p.under == 1}
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
	length   int64         // bytes
	left     int64         // of them, not read yet
	beside   int           // requests under way when it began, itself included
	wait     time.Duration // for the answer
	transfer time.Duration // spent in Read

	// What left, transfer, and its being the only one were when it was last weighed.
	weighed int64
	spent   time.Duration
	alone   bool
}

func (m *measured) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := m.ReadCloser.Read(p)
	m.transfer += time.Since(began)
	m.left -= int64(n)
	if m.weighed-m.left >= weighing {
		m.pace.weigh(m)
	}
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
	unloaded := p.unloaded(m)
	p.weighLocked(m)
	p.under--
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

// weigh is weighLocked while the request goes on.
func (p *Pace) weigh(m *measured) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weighLocked(m)
}

// weighLocked takes note of what a request says of one alone and several at once.
func (p *Pace) weighLocked(m *measured) {
	alone, part, took := m.alone && p.under == 1, float64(m.weighed-m.left), m.transfer-m.spent
	m.weighed, m.spent, m.alone = m.left, m.transfer, p.under == 1
	brought := float64(m.length - m.left)
	if brought < wideChunk { // how fast its connection is is not known
		return
	}
	pays := worthwhile * m.wait.Seconds() * brought / m.transfer.Seconds() // bytes of a request
	switch {
	case alone && part >= wideChunk && part*tooSlow < p.together*took.Seconds():
		p.slow = time.Now()
	case pays <= longest:
		p.dear = time.Time{}
	case m.beside > 1 && m.wait > queueing*shorter(p.earlier, p.recent)/2: // of a few, not many
		p.dear = time.Now()
	}
	if m.beside > 1 && m.left == 0 {
		rate := brought / (m.wait + m.transfer).Seconds()
		p.together += (float64(m.beside)*rate - p.together) / smoothing
	}
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

// Long reports whether requests are so dear that one at a time, of any length, is better
// than a few at once: they queue, and wait for longer than the longest that a window is
// divided into makes good. One at a time does not show what a few would cost, so after a
// while they are tried again; one that is slower than they were is not tried for a while.
func (p *Pace) Long() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ideal <= loneRequests && time.Since(p.dear) < unloadedFor && time.Since(p.slow) >= unloadedFor
}
