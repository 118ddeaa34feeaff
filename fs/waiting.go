package fs

import (
	"slices"
	"strings"
	"time"
)

// Waiting is a file whose close was answered and whose commit has not ended.
type Waiting struct {
	Entry string
	Draft string // its id
	Path  string // its data file
	Size  int64  // bytes
	Since time.Time
	Tries int
	Err   error     // of the last try; nil before the first has failed
	Next  time.Time // when the next try begins; zero while one runs or waits for a place
}

// Waiting lists the files that wait, those that have waited longest first.
func (s *Server) Waiting() []Waiting {
	var all []Waiting
	for _, d := range s.fs.allDrafts() {
		w := Waiting{Draft: d.bytes.ID(), Path: d.bytes.Path(), Size: d.bytes.Size()}
		d.mu.Lock()
		b := d.behind
		if b != nil {
			w.Entry, w.Since, w.Tries, w.Err, w.Next = d.entry, b.since, b.tries, b.err, b.next
		}
		d.mu.Unlock()
		if b != nil {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b Waiting) int { return a.Since.Compare(b.Since) })
	return all
}

// Writing is a file that is open for writing and whose commit has not begun.
type Writing struct {
	Entry string
	Draft string // its id
	Path  string // its data file
	Size  int64  // bytes
}

// Writing lists the files that are being written, by their names.
func (s *Server) Writing() []Writing {
	var all []Writing
	for _, d := range s.fs.allDrafts() {
		d.mu.Lock()
		written := d.writers > 0 && d.change > d.settled && d.cancel == nil && d.behind == nil && !d.unlinked
		entry := d.entry
		d.mu.Unlock()
		if written {
			all = append(all, Writing{Entry: entry, Draft: d.bytes.ID(), Path: d.bytes.Path(), Size: d.bytes.Size()})
		}
	}
	slices.SortFunc(all, func(a, b Writing) int { return strings.Compare(a.Entry, b.Entry) })
	return all
}

// Unmounted is closed when the kernel's side is gone: nobody uses the files any more,
// and what is left is what Wait waits for.
func (s *Server) Unmounted() <-chan struct{} { return s.fs.hurry }
