package main

import (
	"fmt"
	"os"
	"slices"
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

// mostWrong failures say what is to be said.
const mostWrong = 30

// fail notes why the soak has failed, and ends it.
func (s *soak) fail(format string, args ...any) {
	what := fmt.Sprintf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	fmt.Fprintln(os.Stderr, "soak: FAILED:", what)
	s.tally.mu.Lock()
	if len(s.tally.wrong) < mostWrong {
		s.tally.wrong = append(s.tally.wrong, what)
	}
	s.tally.mu.Unlock()
	s.over()
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
