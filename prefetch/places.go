package prefetch

import (
	"context"
	"slices"
	"sync"
	"time"
)

// places are what streams of spools hold: there are fewer of them than the client
// has, so that spools never take all of the client's. Who waits for one gets it in
// the order of arrival.
type places struct {
	mu    sync.Mutex // guards the fields below
	total int
	used  int
	queue []*claim
}

// claim is one stream that waits for a place.
type claim struct {
	granted chan struct{} // closed when the place is the claimant's
	since   time.Time
}

func newPlaces(total int) *places { return &places{total: total} }

// take waits for a place until ctx ends.
func (p *places) take(ctx context.Context) error {
	p.mu.Lock()
	if p.used < p.total {
		p.used++
		p.mu.Unlock()
		return nil
	}
	c := &claim{granted: make(chan struct{}), since: time.Now()}
	p.queue = append(p.queue, c)
	p.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	at := slices.Index(p.queue, c)
	if at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
	}
	p.mu.Unlock()
	if at < 0 { // it was granted in the same moment
		p.give()
	}
	return ctx.Err()
}

// give hands the place to who has waited longest, or back.
func (p *places) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.used--
		return
	}
	close(p.queue[0].granted)
	p.queue = slices.Delete(p.queue, 0, 1)
}

// taken is how many places are held.
func (p *places) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// waiting is how many claims wait.
func (p *places) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// wanted is how long the oldest claim has waited, and whether there is one.
func (p *places) wanted() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return 0, false
	}
	return time.Since(p.queue[0].since), true
}
