// Package metrics holds what a mount tells about itself: the status snapshot and
// its plain text. It starts no goroutine, takes no lock and reads no clock.
//
// Units: sizes are bytes, durations in JSON are seconds.
package metrics
