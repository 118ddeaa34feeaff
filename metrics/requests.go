package metrics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts the requests to the services by their kind and outcome, and by their
// time. It may be used by many goroutines at once.
type Requests struct {
	prometheus.Collector
	latency *prometheus.HistogramVec

	mu      sync.Mutex // guards the fields below
	ended   map[outcome]int64
	retried map[string]int64 // by kind
}

type outcome struct{ kind, code string }

// NewRequests counts from 0.
func NewRequests() *Requests {
	latency := requestDuration().histogram()
	return &Requests{Collector: latency, latency: latency, ended: map[outcome]int64{}, retried: map[string]int64{}}
}

// Ended counts a request of a kind that had an answer with the status code, or none for
// the reason code, after so long.
func (r *Requests) Ended(kind, code string, took time.Duration) {
	r.latency.WithLabelValues(kind).Observe(took.Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[outcome{kind, code}]++
}

// Retried counts a request of a kind that has failed and is made again.
func (r *Requests) Retried(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retried[kind]++
}

// Counts are the requests so far, in the order of their kinds and codes.
func (r *Requests) Counts() RequestCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := RequestCounts{Ended: []RequestCount{}, Retried: []RetryCount{}}
	for o, n := range r.ended {
		c.Ended = append(c.Ended, RequestCount{Kind: o.kind, Code: o.code, Count: n})
	}
	for kind, n := range r.retried {
		c.Retried = append(c.Retried, RetryCount{Kind: kind, Count: n})
	}
	slices.SortFunc(c.Ended, func(x, y RequestCount) int { return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Code, y.Code)) })
	slices.SortFunc(c.Retried, func(x, y RetryCount) int { return cmp.Compare(x.Kind, y.Kind) })
	return c
}
