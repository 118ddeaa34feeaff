package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long a program may take to end after a signal, or to be ready.
const patience = 30 * time.Second

// command is a program with an environment of its own: nothing of the user's
// configuration changes what is measured. It has a process group of its own, so
// that the terminal's Ctrl-C reaches it through us, in order.
func (l *lab) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + l.dir, "LC_ALL=C.UTF-8", "no_proxy=127.0.0.1,localhost"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// runs runs a program to its end, and says how long it took.
func (l *lab) run(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := l.command(ctx, name, args...)
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	taken := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return taken, nil
}

// child is a running program that does not end by itself.
type child struct {
	cmd   *exec.Cmd
	log   string        // the file with what it says
	ended chan struct{} // closed when it has ended, with err
	err   error
}

// start runs a program in the background. The caller stops it; the end of ctx
// kills it.
func (l *lab) start(ctx context.Context, name string, args ...string) (*child, error) {
	log, err := os.CreateTemp(l.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	c := &child{cmd: l.command(ctx, name, args...), log: log.Name(), ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// fail adds the child's words to an error.
func (c *child) fail(err error) error {
	said, _ := os.ReadFile(c.log) // without them the error still stands
	return fmt.Errorf("%s: %w\n%s", strings.Join(c.cmd.Args, " "), err, said)
}

// wait polls until ready says so.
func (c *child) wait(ctx context.Context, ready func() bool) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !ready() {
		select {
		case <-c.ended:
			return c.fail(errors.Join(errors.New("ended at once"), c.err))
		case <-limit.C:
			return c.fail(fmt.Errorf("not ready after %v", patience))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// stop ends the program by a signal, as a user would, and then by SIGKILL.
func (c *child) stop() error {
	select {
	case <-c.ended: // by itself, or by its context
		return nil
	default:
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
	}
	err := c.fail(fmt.Errorf("did not end within %v of SIGINT", patience))
	if killed := c.cmd.Process.Kill(); killed != nil && !errors.Is(killed, os.ErrProcessDone) {
		return errors.Join(err, killed)
	}
	<-c.ended
	return err
}
