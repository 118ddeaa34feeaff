package test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A call is a caller.c.
type call struct {
	t     *testing.T
	what  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it prints; closed at its end
}

// prepare starts a caller and waits until it is ready.
func (w *waiting) prepare(op, path, argument string) *call {
	w.t.Helper()
	c := &call{t: w.t, what: op + " " + filepath.Base(path), cmd: exec.Command(w.caller, op, path, argument), lines: make(chan string, 2)}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	c.in = in
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(c.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.lines <- lines.Text()
		}
	}()
	w.t.Cleanup(func() {
		if c.cmd.ProcessState == nil { // the test has failed before it had its result
			_ = c.cmd.Process.Kill()
			w.hold.release()
			<-ended
			_ = c.cmd.Wait()
		}
	})
	if got := c.line(patience); got != "ready" {
		w.t.Fatalf("%s: %q", c.what, got)
	}
	return c
}

// start is prepare and begin, for what the callers wait behind.
func (w *waiting) start(op, path, argument string) *call {
	w.t.Helper()
	c := w.prepare(op, path, argument)
	c.begin()
	w.behind = append(w.behind, c)
	return c
}

// blocked waits until the callers wait in the kernel.
func (w *waiting) blocked(calls ...*call) {
	w.t.Helper()
	for _, c := range calls {
		w.until(c.what+" to wait", func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", c.cmd.Process.Pid))
			if err != nil {
				w.t.Fatal(err)
			}
			at := string(text)
			return strings.Contains(at, "request_wait_answer") || strings.Contains(at, "folio") || strings.Contains(at, "fuse")
		})
	}
}

func (c *call) begin() {
	c.t.Helper()
	if _, err := c.in.Write([]byte{'\n'}); err != nil {
		c.t.Fatal(err)
	}
}

// line is what it prints next, within a time; "" when it has ended.
func (c *call) line(within time.Duration) string {
	c.t.Helper()
	select {
	case line := <-c.lines:
		return line
	case <-time.After(within):
		c.t.Fatalf("%s: nothing after %v", c.what, within)
		return ""
	}
}

// result is how the call ended, within a time.
func (c *call) result(within time.Duration) string {
	c.t.Helper()
	got := c.line(within)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("%s: %v", c.what, err)
	}
	return got
}

func (c *call) done() {
	c.t.Helper()
	if got := c.result(patience); got != "done" {
		c.t.Errorf("%s: %s", c.what, got)
	}
}

// stop tells it to stop, which it must at once.
func (c *call) stop(sig syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
	begun := time.Now()
	if got := c.line(patience); got != "" {
		c.t.Errorf("%s: %s after %v", c.what, got, sig)
	}
	_ = c.cmd.Wait() // how it ended is looked at
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != sig {
		c.t.Errorf("%s: %v after %v", c.what, c.cmd.ProcessState, sig)
	}
	if took := time.Since(begun); took > freed {
		c.t.Errorf("%s: %v has freed it after %v", c.what, sig, took)
	}
}

// disturb sends it what does not mean stop: Ctrl-Z, and what it has a handler for. It
// must go on waiting.
func (c *call) disturb() {
	c.t.Helper()
	send := func(signals ...syscall.Signal) {
		for _, sig := range signals {
			if err := c.cmd.Process.Signal(sig); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	send(syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGSTOP)
	select {
	case line := <-c.lines:
		c.t.Fatalf("%s: %q after a signal that does not mean stop", c.what, line)
	case <-time.After(lookedAgain):
	}
	send(syscall.SIGCONT)
}
