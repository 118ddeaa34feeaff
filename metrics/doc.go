// Package metrics holds what a mount tells about itself: the status snapshot, its plain
// text, and the metrics for Prometheus, all of which definitions.go has. It starts no
// goroutine and reads no clock. Requests.mu is a leaf.
//
// Units: sizes are bytes, durations in JSON are seconds.
package metrics
