package link

import (
	"sync"
	"time"
)

// limiter says when bytes have left, at a fixed rate and first come, first served.
// It saves up nothing: time in which nobody sent is lost.
type limiter struct {
	rate float64 // bytes per second; 0 is no limit

	mu   sync.Mutex // guards next
	next time.Time  // when the last byte promised so far has left
}

// reserve takes the time of n bytes that are ready now, and says when the last of
// them has left.
func (l *limiter) reserve(now time.Time, n int) time.Time {
	if l.rate == 0 {
		return now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	return l.next
}

// hold keeps the limiter from promising anything before t.
func (l *limiter) hold(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.Before(t) {
		l.next = t
	}
}
