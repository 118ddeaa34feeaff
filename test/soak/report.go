package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// figures are what a soak has to say.
type figures struct {
	service    string
	version    string // of the daemon
	seed       uint64
	length     time.Duration
	well       int // operations
	failed     int // of those, for a reason
	requests   int
	faults     int
	compared   int64 // bytes
	audits     int
	kept       int
	hung       int // operations that did not end with their daemon
	slowest    time.Duration
	happened   map[string]int
	never      []string // of all that can happen, what has not
	bounds     []bound
	operations map[string][2]int
}

func (s *soak) figures() figures {
	f := figures{
		service: s.options.service, version: s.version, seed: s.seed, length: s.length, compared: s.tally.bytes.Load(), audits: s.audits, kept: s.kept, hung: s.hung, slowest: s.slowest,
		happened: s.happened, bounds: s.sampler.bounds(s), faults: s.proxy.Hits(),
	}
	for _, n := range s.proxy.Counts() {
		f.requests += n.Seen
	}
	for _, e := range s.all() {
		if s.happened[e.what] == 0 {
			f.never = append(f.never, e.what)
		}
	}
	f.well, f.failed = s.tally.all()
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	f.operations = maps.Clone(s.tally.ops)
	return f
}

// faults is how many requests have failed on purpose.
func (s *soak) faults() int64 {
	if s.proxy == nil {
		return 0
	}
	return int64(s.proxy.Hits())
}

// markdown is the figures for docs/RELIABILITY.md.
func (f figures) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "| %d minutes on %s | |\n|---|---|\n", int(f.length.Minutes()), map[string]string{
		"embedded": "the embedded server", "glance": "a Keystone and a Glance",
	}[f.service])
	row := func(what string, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("imagefs", "%s, `-seed %d`", f.version, f.seed)
	row("operations", "%d, of which %d failed while something was wrong, and none else", f.well+f.failed, f.failed)
	row("requests", "%d, of which %d met a fault", f.requests, f.faults)
	row("bytes compared", "%.1f GiB, and no difference", float64(f.compared)/(1<<30))
	row("looks at all that the service has", "%d", f.audits)
	row("longest until all that was accepted was committed", "%s", f.slowest.Round(time.Second))
	row("operations that went on for 10 s on a dead mount", "%d", f.hung)
	row("drafts kept of operations that failed", "%d", f.kept)
	for _, what := range slices.Sorted(maps.Keys(f.happened)) {
		if what != calm {
			row("rounds with "+what, "%d", f.happened[what])
		}
	}
	for _, bound := range f.bounds {
		row("most "+bound.what, "%s of %s", bound.text(bound.peak), bound.text(bound.most))
	}
	return b.Bytes()
}

// text is the figures for a terminal.
func (f figures) text() string {
	var b strings.Builder
	b.Write(f.markdown())
	for _, what := range slices.Sorted(maps.Keys(f.operations)) {
		n := f.operations[what]
		fmt.Fprintf(&b, "%-10s %6d well %6d failed\n", what, n[0], n[1])
	}
	return b.String()
}

// mark is a line of the document around what is generated of one service.
func markOf(service, which string) []byte {
	return fmt.Appendf(nil, "<!-- soak %s: %s -->\n", service, which)
}

// write puts the figures into a document that is written by hand but for them.
func (f figures) write(path string) error {
	if len(f.never) > 0 {
		return fmt.Errorf("the figures are not written, as these have not happened: %s; soak for longer", strings.Join(f.never, ", "))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := bytes.Cut(text, markOf(f.service, "begin. Written by `make soak`; what you change here is lost"))
	_, after, ended := bytes.Cut(rest, markOf(f.service, "end"))
	if !begun || !ended {
		return errors.New("the lines that enclose the figures are missing")
	}
	text = slices.Concat(before, markOf(f.service, "begin. Written by `make soak`; what you change here is lost"), f.markdown(), markOf(f.service, "end"), after)
	return os.WriteFile(path, text, 0o644)
}
