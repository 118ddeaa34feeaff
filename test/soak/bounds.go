package main

import (
	"fmt"

	"github.com/imagefs/imagefs/test/fault"
)

// What the daemon is told, so that each bound is reached: caches smaller than what is read,
// and fewer streams than readers want.
const (
	memoryOption  = 64 << 20  // bytes
	cacheOption   = 256 << 20 // bytes
	streamsOption = 16
)

// The bounds of a mount with these options and workers. docs/RELIABILITY.md says why.
const (
	// residentMost, in bytes, is --memory, and beside it Go's runtime and the program (30
	// MiB), buffers of requests and of the kernel's (55 MiB), and what the garbage collector
	// lets lie before it collects again.
	residentMost = memoryOption + 160<<20
	// descriptorsMost: a connection for each stream and upload and the spare ones, the drafts
	// and files of the workers, and what the process has anyway.
	descriptorsMost = streamsOption + 4 + 8 + 64
	// cachedMost: 64 images of the cache on disk with two files each, and those in use.
	cachedMost = 2 * (64 + 16)
	// goroutinesMost: three for each connection with its request, and one or two for each of
	// the kernel's, of which there are as many as it reads ahead and as workers wait.
	goroutinesMost = 3*(streamsOption+4+8) + 2*(64+32) + 64
	// threadsMost: those that are in a system call on a local disk or in FUSE at a time.
	threadsMost = 96
	// cacheMost, in bytes: blocks that are written while others are dropped.
	cacheMost = cacheOption + 8<<20
	// uploadsMost run at once.
	uploadsMost = 4
	// loggedMost, in bytes for each minute that something is wrong, over the whole time.
	loggedMost = 1 << 20
	// growthMost is how much more there may be in rest than after the warm-up: what a pool
	// or a cache holds or does not.
	descriptorsGrowth = 16
	goroutinesGrowth  = 16
	residentGrowth    = memoryOption + 16<<20 // bytes: the warm-up need not have filled the cache
)

// A bound is one limit and what came nearest to it.
type bound struct {
	what  string
	most  int64
	peak  int64
	bytes bool
}

func (b bound) text(n int64) string {
	if b.bytes {
		return mib(n)
	}
	return fmt.Sprint(n)
}

// bounds are those that the soak holds the daemon to.
func (p *sampler) bounds(s *soak) []bound {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := s.proxy.Counts()
	minutes := max(1, int64(p.peak.at.Minutes()))
	all := []bound{
		{"descriptors", descriptorsMost, p.peak.descriptors, false},
		{"open files of the cache", cachedMost, p.peak.cached, false},
		{"goroutines", goroutinesMost, p.peak.goroutines, false},
		{"threads", threadsMost, p.peak.threads, false},
		{"the cache on disk", cacheMost, p.peak.cache, true},
		{"requests for data at once", streamsOption, int64(max(counts[fault.Span].Most, counts[fault.Whole].Most)), false},
		{"uploads at once", uploadsMost, int64(counts[fault.Upload].Most), false},
		{"log, a minute", loggedMost, p.peak.logged / minutes, true},
		{"descriptors more in rest", descriptorsGrowth, p.last.descriptors - p.baseline.descriptors, false},
		{"goroutines more in rest", goroutinesGrowth, p.last.goroutines - p.baseline.goroutines, false},
	}
	if !s.race {
		all = append(all,
			bound{"resident memory", residentMost, max(p.hwm, p.peak.resident), true},
			bound{"resident memory more in rest", residentGrowth, p.last.resident - p.baseline.resident, true})
	}
	return all
}

// passed are the bounds that do not hold.
func (p *sampler) passed(s *soak) []string {
	var all []string
	for _, b := range p.bounds(s) {
		if b.peak > b.most {
			all = append(all, fmt.Sprintf("%s: %s, at most %s are right", b.what, b.text(b.peak), b.text(b.most)))
		}
	}
	return all
}
