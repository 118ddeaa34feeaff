package client

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is the service's clock, as the Date of its answers tells it: how far it is
// ahead of the host's, in nanoseconds.
type clock struct{ ahead atomic.Int64 }

// clockError is how far a Date can be off without a meaning: it has whole seconds,
// and has been under way.
const clockError = 5 * time.Second

func (c *clock) read(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	ahead := time.Until(date)
	if ahead.Abs() <= clockError {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// Now is the time by the service's clock, which all hosts share: the clock of a host
// may be years off. Where no answer had a date it is the host's.
func (c *Client) Now() time.Time { return time.Now().Add(time.Duration(c.clock.ahead.Load())) }
