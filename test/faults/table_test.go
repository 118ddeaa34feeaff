package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// TestTable does what docs/RELIABILITY.md says: every operation, each kind of its requests,
// each fault, once and always. The answer is the one that is written there, within its time;
// no wrong byte is served, nothing half made is left, what was not accepted is kept, the log
// tells, and when the service is well again so is the mount.
func TestTable(t *testing.T) {
	documented := readTable(t)
	var mu sync.Mutex // guards the field below
	found := maps.Clone(documented)
	if !*full && !*rewrite {
		t.Logf("-day %d", *day)
	}
	count := int64(0)
	t.Run("cells", func(t *testing.T) {
		for _, o := range operations {
			for _, f := range fault.All() {
				if !f.Concerns(o.kind) {
					continue
				}
				key := cellKey{o.kind, o.name, f.Name}
				want, ok := documented[key]
				if !ok && !*rewrite {
					t.Errorf("the table has no outcome for %v", key)
					continue
				}
				delete(documented, key)
				for i, times := range []int{1, fault.Always} {
					if count++; !*full && !*rewrite && !turn(count, *day) {
						continue
					}
					name := fmt.Sprintf("%s/%s/%s/%s", o.kind, o.name, f.Name, [...]string{"once", "always"}[i])
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						t.Cleanup(func() {
							if t.Failed() {
								t.Logf("this cell again: go test -race ./test/faults -full -run '%s'", only(t.Name()))
							}
						})
						took, got := tryCell(t, o, f, times, want[i])
						t.Logf("%v after %v: %v", answerOf(got), took.Round(time.Millisecond), got)
						if *rewrite && !t.Failed() {
							mu.Lock()
							defer mu.Unlock()
							cell := found[key]
							cell[i] = seen(f, got, took)
							found[key] = cell
						}
					})
				}
			}
		}
	})
	if *rewrite {
		writeTable(t, found)
		return
	}
	for key := range documented {
		t.Errorf("the table has an outcome for %v, which no operation meets", key)
	}
}

// part is of how many cells one is tried unless all are, which takes many minutes. It is odd,
// so that once and always take turns, and no multiple of seven, so that no cell has its turn
// on Sundays alone.
const part = 9

// turn reports whether a cell is one of those of a day. Another run on that day tries the same.
func turn(cell, day int64) bool { return (cell+day)%part == 0 }

// Every cell has its turn, also where nobody tests but on one day of the week.
func TestTurns(t *testing.T) {
	for cell := range int64(part) {
		for _, step := range []int64{1, 7} {
			turns := 0
			for n := range int64(part) {
				if turn(cell, n*step) {
					turns++
				}
			}
			if turns != 1 {
				t.Errorf("a cell has %d turns in %d days, one in %d", turns, part, step)
			}
		}
	}
}

// only is what -run takes for one test.
func only(name string) string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(name), "/", "$/^") + "$"
}

// tryCell makes one operation meet one fault, and checks all; its answer and its time only
// where they are not to be written.
func tryCell(t *testing.T, o operation, f fault.Fault, times int, want outcome) (took time.Duration, got error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*daemon.Patience)
	defer cancel()
	w, err := spare.take(ctx, o.world)
	if err != nil {
		t.Fatal(err)
	}
	healthy := false
	defer func() {
		switch {
		case t.Failed():
			t.Logf("the daemon's log ends so:\n%s", w.daemon.Tail())
		case healthy:
			if err := spare.give(w); err != nil {
				t.Error(err)
			}
			return
		}
		if err := w.kill(); err != nil {
			t.Error(err)
		}
	}()
	w.faultName, w.kindOfFault = f.Name, o.kind
	a, err := o.begin(ctx, w)
	if err != nil {
		t.Fatalf("before the fault: %v", err)
	}
	before, err := w.logged(0)
	if err != nil {
		t.Fatal(err)
	}
	way := w.way(o.kind)
	hits := way.Hits()
	rules := []fault.Rule{{Kind: o.kind, Fault: f, Times: times}}
	if o.kind == fault.Delta {
		rules = append(rules, fault.Rule{Kind: fault.List, Fault: fault.Slow(longListing), Times: fault.Always})
	}
	if err := way.Set(rules...); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	got = a.do()
	took = time.Since(begun)
	if err := way.Set(); err != nil {
		t.Fatal(err)
	}
	if answer := answerOf(got); !*rewrite && (answer != want.answer() || !want.within(took)) {
		t.Errorf("%v (%v) after %v, want %s", answer, got, took.Round(time.Millisecond), want)
	}
	if o.locks() && took > lockBound+lockSlack {
		t.Errorf("it has had the lock of the directory for %v", took)
	}
	if way.Hits() == hits {
		t.Error("no request has met the fault")
	}
	if a := answerOf(got); a == wrong || a == damaged && f.Name != fault.FlippedByte.Name {
		t.Errorf("a wrong answer: %v", got)
	}
	if err := w.recovered(); err != nil {
		t.Fatal(err)
	}
	if err := a.again(got); err != nil {
		t.Errorf("when the service is well again, after %v: %v", got, err)
	}
	if a.end != nil {
		if err := a.end(); err != nil {
			t.Error(err)
		}
	}
	if err := w.discreet(); err != nil {
		t.Error(err)
	}
	if got != nil && !errors.Is(got, syscall.ENOENT) && !errors.Is(got, errDamaged) && a.about != "" {
		if err := w.told(len(before), a.about); err != nil {
			t.Error(err)
		}
	}
	// Where PUT was refused, by this fault or in its wake, the mount imports from then on, which
	// takes longer where requests fail.
	healthy = o.world.imports || w.proxy.Counts()[fault.Methods].Seen == 0
	return took, got
}

// told checks that the log says of a failure which file or image it was.
func (w *world) told(from int, about string) error {
	return w.daemon.Until("a line of the log that names "+about, func() (bool, error) {
		log, err := w.logged(from)
		for line := range strings.Lines(log) {
			loud := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
			if loud && strings.Contains(line, about) && strings.Contains(line, "error=") {
				return true, err
			}
		}
		return false, err
	})
}
