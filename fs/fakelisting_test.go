package fs

import (
	"context"
	"sync"
)

// paged is a listing that comes in parts.
type paged struct {
	all []Entry

	mu   sync.Mutex // guards the fields below
	have int        // so many have come
	err  error      // what comes instead of the others
	more chan struct{}
}

func newPaged(all []Entry, have int) *paged {
	return &paged{all: all, have: have, more: make(chan struct{})}
}

// come lets so many be there; an error is the end of it.
func (p *paged) come(have int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have, p.err = have, err
	close(p.more)
	p.more = make(chan struct{})
}

func (p *paged) readyLocked(i int) bool { return i < p.have || p.have == len(p.all) || p.err != nil }

// Ready reports whether it has come.
func (p *paged) Ready(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readyLocked(i)
}

// Still says that nothing changes.
func (p *paged) Still(Entry) bool { return true }

// At waits until it has come.
func (p *paged) At(ctx context.Context, i int) (Entry, bool, error) {
	for {
		p.mu.Lock()
		ready, have, err, more := p.readyLocked(i), p.have, p.err, p.more
		p.mu.Unlock()
		switch {
		case ready && i < have:
			return p.all[i], true, nil
		case ready:
			return Entry{}, false, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Entry{}, false, ctx.Err()
		}
	}
}
