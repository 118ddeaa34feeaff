package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A tally counts what was done.
type tally struct {
	bytes atomic.Int64 // compared

	mu      sync.Mutex        // guards the fields below
	ops     map[string][2]int // by program: how many ended well, and not
	wrong   []string          // why the soak has failed
	excused map[string]int    // failures for which there was a reason, by their errors
}

func newTally() *tally { return &tally{ops: map[string][2]int{}, excused: map[string]int{}} }

func (t *tally) compared(n int) { t.bytes.Add(int64(n)) }

func (t *tally) count(what string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.ops[what]
	if ok {
		n[0]++
	} else {
		n[1]++
	}
	t.ops[what] = n
}

// all is how many operations ended well, and not.
func (t *tally) all() (well, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.ops {
		well, failed = well+n[0], failed+n[1]
	}
	return well, failed
}

func (t *tally) failures() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.wrong)
}

const (
	// mostWrong failures say what is to be said.
	mostWrong = 30
	// mostAbout lines of the log tell what became of one file: each change of it is one.
	mostAbout = 60
)

// fail notes why the soak has failed, and ends it. What the daemon has logged of it is shown:
// it may not come again.
func (s *soak) fail(format string, args ...any) {
	what := fmt.Sprintf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	fmt.Fprintln(os.Stderr, "soak: FAILED:", what)
	if s.daemon != nil {
		fmt.Fprint(os.Stderr, strings.Join(s.daemon.About(s.named(what), mostAbout), ""))
	}
	s.tally.mu.Lock()
	if len(s.tally.wrong) < mostWrong {
		s.tally.wrong = append(s.tally.wrong, what)
	}
	s.tally.mu.Unlock()
	s.over()
}

// anID is of an image or a draft.
var anID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// named are the files, images and drafts that a failure names.
func (s *soak) named(what string) []string {
	words := anID.FindAllString(what, -1)
	for _, w := range s.workers {
		for _, f := range w.files {
			if strings.Contains(what, f.name) {
				words = append(words, f.name)
			}
		}
	}
	return words
}

// failed notes an operation that failed: a failure of the soak, unless something was
// wrong since the mark.
func (s *soak) failed(m mark, format string, args ...any) {
	if !s.trouble.excuses(m) {
		s.fail("nothing was wrong, and yet "+format, args...)
		return
	}
	s.log("excused: "+format, args...)
}
