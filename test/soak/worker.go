package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// opBound is how long an operation may take: a request that stalls ends after the stall
// time-out, the answer to an upload after five times that, and some make several.
const opBound = 4 * time.Minute

// A worker makes one change or look after the other, in files of its own.
type worker struct {
	soak    *soak
	random  *rand.Rand
	prefix  string // of its names
	scratch string // a directory of its own on the local disk
	files   []*file
	moves   []move
	step    func(*worker)
	seed    uint64 // of the content that it made last

	// debris: a program that failed may have left a file of its own making.
	debris bool
}

func (s *soak) newWorker(prefix string, files int, step func(*worker)) (*worker, error) {
	w := &worker{
		soak: s, prefix: prefix, step: step, scratch: filepath.Join(s.dir, "scratch-"+prefix),
		random: rand.New(rand.NewPCG(s.random.Uint64(), 0)), seed: s.random.Uint64(),
	}
	for i := range files {
		w.files = append(w.files, &file{name: fmt.Sprintf("%s-%d", prefix, i), may: []state{absent}, property: []string{""}})
	}
	return w, os.Mkdir(w.scratch, 0o700)
}

// work goes on until the gate ends it.
func (w *worker) work() {
	for w.soak.gate.enter() {
		w.step(w)
		w.soak.gate.leave()
	}
}

func (w *worker) path(f *file) string      { return w.soak.path(f.name) }
func (w *worker) local(name string) string { return filepath.Join(w.scratch, name) }

// any is one of its files.
func (w *worker) any() *file { return w.files[w.random.IntN(len(w.files))] }

// known is one of which it is known what is there; nil for none.
func (w *worker) known() (*file, state) {
	for range 2 * len(w.files) {
		f := w.any()
		if s, ok := f.now(); ok && s.there {
			return f, s
		}
	}
	return nil, absent
}

// fresh is content that there was not before, of up to so many bytes.
func (w *worker) fresh(most int) []byte {
	w.seed++
	size := w.random.IntN(most)
	switch w.random.IntN(20) {
	case 0:
		size = 0
	case 1, 2, 3:
		size %= 4096
	}
	return content(mix(w.seed), size)
}

// write makes a local file.
func (w *worker) write(name string, data []byte) string {
	path := w.local(name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.soak.fail("%v", err)
	}
	return path
}

// An outcome is how a program ended.
type outcome struct {
	ok   bool
	code int // of its exit; -1 for a signal
	out  string
}

// run runs a program on the mount. One that fails does so for a reason: otherwise the
// soak has failed.
func (w *worker) run(name string, args ...string) outcome {
	o := w.look(name, args...)
	w.soak.tally.count(name, o.ok)
	return o
}

func (w *worker) look(name string, args ...string) outcome {
	m := w.soak.trouble.mark()
	ctx, cancel := context.WithTimeout(context.Background(), opBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = w.scratch
	cmd.WaitDelay = time.Second
	cmd.Cancel = func() error {
		w.soak.fail("%s takes more than %s", cmd, opBound)
		w.soak.dump()
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Start()
	if err == nil {
		w.soak.gate.began(cmd.Process.Pid)
		err = cmd.Wait()
		w.soak.gate.over(cmd.Process.Pid)
	}
	o := outcome{ok: err == nil, out: out.String()}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		o.code = exit.ExitCode()
	default:
		w.soak.fail("%s: %v", name, err)
	}
	if !o.ok {
		w.soak.failed(m, "%s %s: %v: %s", name, strings.Join(args, " "), err, strings.TrimSpace(o.out))
	}
	return o
}

// wrote is what a program that writes has to say: what it wrote is there, or may be. What
// ends empty is committed after its close, which the daemon may not live to see. The record
// of an empty file that an upload has spoilt is removed, and comes again with the next one.
func (w *worker) wrote(f *file, s state, ok bool) {
	w.forget(f)
	lasts := !s.there || len(s.data) > 0 || !w.soak.trouble.is(killDaemon)
	switch {
	case ok && lasts:
		f.set(s)
	case slices.ContainsFunc(f.may, state.mayBeEmpty):
		f.maybe(s, absent)
	default:
		f.maybe(s)
	}
}

// forget the moves of a file that has been changed since.
func (w *worker) forget(files ...*file) {
	var left []move
	for _, m := range w.moves {
		keep := true
		for _, f := range files {
			keep = keep && m.from != f && m.to != f
		}
		if keep {
			left = append(left, m)
		}
	}
	w.moves = left
}

// check compares what was read of a file with what it may be.
func (w *worker) check(f *file, got []byte) {
	w.soak.tally.compared(len(got))
	if !f.mayHold(got) {
		want := f.may[0]
		w.soak.fail("%s reads as %d bytes of %s, which is none of %d things that it may be; the first has %d bytes and differs at %d",
			f.name, len(got), hashOf(got)[:8], len(f.may), len(want.data), firstDifference(got, want.data))
	}
}

// readBack reads a file by a local copy.
func (w *worker) readBack(f *file, copyOf string) {
	got, err := os.ReadFile(copyOf)
	if err != nil {
		w.soak.fail("%v", err)
		return
	}
	w.check(f, got)
}
