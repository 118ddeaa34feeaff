package main

import (
	"sync"
	"time"
)

// aftermath is how long after a trouble operations may still fail for it: what began
// within it has its retries, and the circuit to a service is tried again.
const aftermath = 20 * time.Second

// trouble is when operations may fail, and for what.
type trouble struct {
	injected func() int64 // faults so far

	mu    sync.Mutex // guards the fields below
	now   string     // what is wrong; "" for nothing
	times int        // how often something was
	ended time.Time
}

func (t *trouble) begin(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = what
	t.times++
}

func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.ended = "", time.Now()
}

// is says whether that is wrong now.
func (t *trouble) is(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now == what
}

// mark is a moment: an operation's beginning.
type mark struct {
	times    int
	injected int64
	at       time.Time
	excused  bool
}

func (t *trouble) mark() mark {
	m := mark{injected: t.injected(), at: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	m.times, m.excused = t.times, t.now != "" || time.Since(t.ended) < aftermath
	return m
}

// excuses says whether something was wrong since the mark.
func (t *trouble) excuses(m mark) bool {
	injected := t.injected()
	t.mu.Lock()
	defer t.mu.Unlock()
	return m.excused || t.times != m.times || injected != m.injected
}
