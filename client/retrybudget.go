package client

import "time"

const (
	// retryShare of the requests may be retries, so that a service of which a part fails
	// gets little more work than it would have.
	retryShare = 0.2
	// retryRate is how many retries a second there may be besides, where few requests
	// are made.
	retryRate = 5.0
	// retryBurst is how many may be saved: what the connections of one proxy that is
	// restarted break at once.
	retryBurst = 50.0
)

// retryBudget is what all retries of a client are paid from. It has neither a lock nor
// a clock.
type retryBudget struct {
	have float64   // retries
	at   time.Time // when that was so; zero before the first request
}

func (b *retryBudget) advance(now time.Time) {
	if b.at.IsZero() {
		b.have = retryBurst
	} else {
		b.have += max(now.Sub(b.at).Seconds(), 0) * retryRate
	}
	b.have, b.at = min(b.have, retryBurst), now
}

// request notes the first try of a request.
func (b *retryBudget) request(now time.Time) {
	b.advance(now)
	b.have = min(b.have+retryShare, retryBurst)
}

// retry takes a retry; where there is none, it returns how long until there may be one.
func (b *retryBudget) retry(now time.Time) time.Duration {
	b.advance(now)
	if b.have >= 1 {
		b.have--
		return 0
	}
	return max(time.Duration((1-b.have)/retryRate*float64(time.Second)), time.Millisecond)
}
