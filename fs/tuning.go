package fs

import "time"

// tuning is what the kernel is to ask for. The default of how it sends reads and writes
// rests on readahead_bench_test.go; docs/BENCHMARKS.md has the figures.
type tuning struct {
	request    int // the largest read or write, bytes
	background int // how many requests of the kernel's read-ahead may wait for us at once
	readAhead  int // how far the kernel reads ahead, bytes
	// validity is how long the kernel may answer from what it was told of entries and
	// attributes.
	validity time.Duration
}

// defaultTuning reads from memory as fast as any other that was tried.
//
// A request of 1 MiB costs hardly less for each byte than one of 512 KiB, but where
// go-fuse's buffers are filled (by drafts and spools), those of 64 readers then take
// 100 MiB and not 50. go-fuse's own 12 requests in the background are few for readers
// of several images. Reading ahead by 1 MiB is twice as fast as by the kernel's 128
// KiB; 4 MiB gain next to nothing, and a page fault of a mapping fetches as much as is
// read ahead.
//
// Lookups are answered from the catalog's memory, so asking again is cheap; a second
// spares it for ls -l and for programs that stat in a loop.
var defaultTuning = tuning{request: 512 << 10, background: 64, readAhead: 1 << 20, validity: time.Second}
