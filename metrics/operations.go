package metrics

import (
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Operations counts the kernel's requests by what they ask for and what they are answered,
// and by their time.
type Operations struct {
	prometheus.Collector
	latency *prometheus.HistogramVec
	names   []string
	// succeeded holds, for each operation that was seen, the histogram of its successes:
	// looking one up by its labels costs more than the counting.
	succeeded []atomic.Pointer[prometheus.Observer]
}

// NewOperations counts operations with these names, each known by its place.
func NewOperations(names []string) *Operations {
	latency := operationDuration().histogram()
	return &Operations{Collector: latency, latency: latency, names: names, succeeded: make([]atomic.Pointer[prometheus.Observer], len(names))}
}

// Answered counts one, which was answered with an errno (0: success). It never waits.
func (o *Operations) Answered(operation int, errno syscall.Errno, took time.Duration) {
	if errno != 0 {
		o.latency.WithLabelValues(o.names[operation], errnoName(errno)).Observe(took.Seconds())
		return
	}
	known := o.succeeded[operation].Load()
	if known == nil {
		of := o.latency.WithLabelValues(o.names[operation], "0")
		known = &of
		o.succeeded[operation].Store(known)
	}
	(*known).Observe(took.Seconds())
}

// errnoName is the name that the documents have; the number where there is none.
func errnoName(errno syscall.Errno) string {
	if errno == unix.EOPNOTSUPP { // x/sys calls it ENOTSUP, the other name of this number
		return "EOPNOTSUPP"
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return strconv.Itoa(int(errno))
}
