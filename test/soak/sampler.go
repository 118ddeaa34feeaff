package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sampleEvery is the time between two looks at the daemon; sampleStatus of them ask it
// for its goroutines.
const (
	sampleEvery  = time.Second
	sampleStatus = 5
)

// A sample is what the daemon has at one moment. What is not known is 0.
type sample struct {
	at                  time.Duration // since the beginning
	resident            int64         // bytes
	descriptors, cached int64         // files of the cache on disk are counted apart
	threads, goroutines int64
	cache, staging      int64 // bytes on disk
	logged              int64 // bytes, of all its lives
}

// sampler looks at the daemon each second.
type sampler struct {
	soak *soak

	mu       sync.Mutex // guards the fields below
	pid      int
	life     int // how often the daemon was killed
	measured int // the life that baseline is of
	samples  []sample
	peak     sample // the most of each, and when it was looked last
	baseline sample // in rest
	last     sample // in rest, of the same life
	hwm      int64  // bytes: the most resident memory that the kernel has seen
}

func newSampler(s *soak) *sampler { return &sampler{soak: s, pid: s.daemon.Pid()} }

// newLife is told of the daemon's.
func (p *sampler) newLife() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = p.soak.daemon.Pid()
	p.life++
	p.samples = nil
}

// outlived says whether the daemon has not been measured since it was mounted.
func (p *sampler) outlived() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.measured != p.life
}

// start begins to look, until stop.
func (p *sampler) start() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
				p.take(i%sampleStatus == 0)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// take takes one sample.
func (p *sampler) take(status bool) {
	p.mu.Lock()
	pid, life := p.pid, p.life
	p.mu.Unlock()
	now, hwm, err := p.look(pid, status)
	if err != nil {
		return // it was just killed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if life != p.life {
		return
	}
	p.samples = append(p.samples, now)
	p.hwm = max(p.hwm, hwm)
	p.peak = sample{
		at:       now.at,
		resident: max(p.peak.resident, now.resident), descriptors: max(p.peak.descriptors, now.descriptors), cached: max(p.peak.cached, now.cached),
		threads: max(p.peak.threads, now.threads), goroutines: max(p.peak.goroutines, now.goroutines),
		cache: max(p.peak.cache, now.cache), staging: max(p.peak.staging, now.staging), logged: max(p.peak.logged, now.logged),
	}
}

// look asks the kernel, and the daemon if told to.
func (p *sampler) look(pid int, status bool) (now sample, hwm int64, err error) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	text, err := os.ReadFile(proc + "status")
	if err != nil {
		return now, 0, err
	}
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		n, _ := strconv.ParseInt(fields[0], 10, 64) // text in lines that are not asked for
		switch word {
		case "VmRSS":
			now.resident = n << 10
		case "VmHWM":
			hwm = n << 10
		case "Threads":
			now.threads = n
		}
	}
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		return now, 0, err
	}
	for _, fd := range open {
		to, err := os.Readlink(proc + "fd/" + fd.Name())
		if err == nil && strings.HasPrefix(to, p.soak.daemon.Cache+"/") {
			now.cached++
		} else {
			now.descriptors++
		}
	}
	now.at = time.Since(p.soak.began)
	now.cache, now.staging = stored(p.soak.daemon.Cache), stored(p.soak.daemon.Staging)
	if info, err := os.Stat(p.soak.daemon.Log); err == nil {
		now.logged = info.Size()
	}
	if status {
		if m, err := p.soak.status(); err == nil {
			now.goroutines = int64(m.Goroutines)
		}
	}
	return now, hwm, nil
}

// stored is how much the files below a directory take.
func stored(dir string) (n int64) {
	_ = filepath.Walk(dir, func(path string, _ os.FileInfo, _ error) error { // files come and go
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			n += st.Blocks * 512
		}
		return nil
	})
	return n
}

// measure looks at the daemon when nothing has worked for a while. The first time of a
// life is what the later ones are compared with.
func (s *soak) measure(when string) {
	s.sleep(s.rest)
	now, _, err := s.sampler.look(s.daemon.Pid(), true)
	if err != nil {
		s.fail("the daemon cannot be looked at: %v", err)
		return
	}
	p := s.sampler
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.baseline.at == 0 || p.measured != p.life {
		p.baseline, p.measured = now, p.life
	}
	p.last = now
	s.log("%s: %s resident, %d descriptors, %d goroutines, %d threads", when, mib(now.resident), now.descriptors, now.goroutines, now.threads)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
