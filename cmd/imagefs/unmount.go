package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/metrics"
)

const unmountHelp = `Unmount takes the mount away, and waits until the uploads under way have ended
and the daemon with them. Ctrl-C ends only the waiting. Files that wait for a service
which does not answer are waited for as long as the mount's --stop-timeout. Then
unmount names those that were not uploaded, and ends with exit code 28: their bytes
stay in the staging directory.

A mount in use is not unmounted. With --force it is taken away all the same, and
nothing is waited for: programs that use it get errors, and what was written but
not uploaded stays in the staging directory. That also works when the daemon is
dead, stopped or stuck, and takes 30 seconds at most.`

const (
	// busyGrace is how long a busy mount is tried again: a program that just
	// looked at it is gone by then.
	busyGrace = 2 * time.Second
	// pollEvery is how often the daemon is looked at while waiting: often enough
	// for a line that moves, rarely enough to cost nothing.
	pollEvery = 300 * time.Millisecond
	// idleLimit is how long a daemon without uploads may take to end before
	// something must be wrong with it.
	idleLimit = time.Minute
	// endLimit is how long a daemon that was told to end may clean up at the
	// service, and a bit.
	endLimit = cleanUpLimit + 3*time.Second
	// killLimit is how long the kernel may take to end a killed process.
	killLimit = 3 * time.Second
)

func unmountCommand(std streams) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "unmount [flags] MOUNTPOINT",
		Aliases: []string{"umount"},
		Short:   "Unmount, after the uploads under way",
		Long:    unmountHelp,
		Example: "  imagefs unmount ~/images",
		Args:    exactly(1, "the mountpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := findTarget(args[0])
			if err != nil {
				return err
			}
			if force {
				return t.force(cmd.Context(), std.Err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			return unmount(ctx, t, std.Err)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "do not wait; programs that use the mount get errors, unfinished files stay in staging")
	return cmd
}

// force ends the kernel's connection, and so every program that waits for the daemon,
// detaches the mount and ends the daemon. A mount that was detached before may have left
// a daemon, too. Each step is bounded, and none touches what is mounted.
func (t target) force(ctx context.Context, stderr io.Writer) error {
	d, err := findDaemon(ctx, t) // before its mount is gone
	alive := err == nil
	var end *processEnd
	var watchErr error // the mount is to go all the same
	if alive {         // before the daemon ends: its pid may be another's then
		if end, watchErr = watchEnd(d.pid); watchErr == nil {
			defer end.close()
		}
	}
	var detachErr error
	switch {
	case t.mount != nil:
		if detachErr = t.detachForced(ctx); detachErr != nil && !errors.Is(detachErr, errHeld) {
			return detachErr
		}
	case !alive:
		return t.notMounted()
	}
	defer sweepDead(t.path)
	if alive {
		if err = watchErr; err == nil {
			err = d.endNow(ctx, end)
		}
	}
	if detachErr != nil {
		if still, lookErr := t.isThere(); still || lookErr != nil {
			return errors.Join(detachErr, lookErr)
		}
	}
	if !alive || err == nil {
		return nil // without a daemon the connection has ended with it, or by force
	}
	hint := ""
	if t.mount != nil {
		hint = ": if a program hangs, write 1 to " + t.abortPath() + " as root"
	}
	_, err = fmt.Fprintf(stderr, "imagefs: %s is unmounted, but its daemon %d cannot be ended (%s)%s\n", t.path, d.pid, oneLine(err), hint)
	return err
}

// endNow ends the daemon without waiting for its uploads: it is told to, and when
// it is stuck it is killed.
func (d daemon) endNow(ctx context.Context, end *processEnd) error {
	told := d.end(ctx)
	if told == nil {
		if gone, err := end.wait(endLimit); gone || err != nil {
			return err
		}
	}
	if err := end.kill(); err != nil {
		return errors.Join(told, err)
	}
	if gone, err := end.wait(killLimit); !gone {
		return errors.Join(errors.New("killed, but still there"), err)
	}
	return nil
}

// unmount takes the mount away as soon as it is not in use, and waits for the
// daemon's end. ctx ends only the waiting.
func unmount(ctx context.Context, t target, stderr io.Writer) error {
	d, err := findDaemon(ctx, t)
	alive := err == nil
	switch {
	case err != nil && !errors.Is(err, errNoDaemon):
		return t.noDaemon(err)
	case !alive && t.mount == nil:
		return t.notMounted()
	}
	var end *processEnd
	var last metrics.Snapshot
	if alive {
		if end, err = watchEnd(d.pid); err != nil {
			return fail(exitInternal, "daemon %d: %w", d.pid, err)
		}
		defer end.close()
		switch s, err := d.ask(ctx); {
		case err == nil:
			last = s
		case errors.Is(err, errStuck): // the kernel may wait for it in an unmount
			return t.noDaemon(err)
		}
	}
	left := lookBefore(last)
	line := newStatusLine(stderr)
	defer line.clear()
	if t.mount != nil {
		if err := detachWhenIdle(ctx, t, d, alive, line); err != nil {
			return err
		}
	}
	if !alive {
		sweepDead(t.path)
		return nil
	}
	if last, err = waitForDaemon(ctx, t, d, end, last, line); err != nil {
		return err
	}
	line.clear()
	return tellAll(stderr, left.failures(last))
}

// detachWhenIdle detaches the mount. A close that still uploads keeps it busy: it
// is waited for; an upload behind a close that was answered does not. Anything else that
// keeps it busy is an error that names it.
func detachWhenIdle(ctx context.Context, t target, d daemon, alive bool, line *statusLine) error {
	idleSince := time.Now()
	for {
		err := t.detach(ctx, false)
		switch {
		case errors.Is(err, errHeld) && alive:
			return nil // the kernel goes on with it, and the daemon ends then
		case !errors.Is(err, errBusy):
			return err
		}
		if alive {
			s, err := d.ask(ctx)
			s.Uploads = slices.DeleteFunc(s.Uploads, func(u metrics.Upload) bool { return u.Behind })
			if err == nil && len(s.Uploads) > 0 {
				s.Waiting = nil
				line.show(waitsFor(s))
				idleSince = time.Now()
			}
		}
		if time.Since(idleSince) > busyGrace {
			return busyError(t)
		}
		select {
		case <-ctx.Done():
			return fail(exitInterruptedBy, "interrupted: %s is still mounted", t.path)
		case <-time.After(pollEvery):
		}
	}
}

func busyError(t target) error {
	by := ""
	if users := t.users(); len(users) > 0 {
		by = " by " + strings.Join(users, ", ")
	}
	return fail(exitUnmountBusy, "%s is in use%s: close what uses it, or unmount with --force", t.path, by)
}

// waitForDaemon waits until the daemon has finished its uploads and ended, and returns
// what it has said last.
func waitForDaemon(ctx context.Context, t target, d daemon, end *processEnd, last metrics.Snapshot, line *statusLine) (metrics.Snapshot, error) {
	idleSince := time.Now()
	for {
		ended, err := end.wait(pollEvery)
		switch {
		case err != nil:
			return last, fail(exitInternal, "daemon %d: %w", d.pid, err)
		case ended:
			return last, nil
		case ctx.Err() != nil:
			return last, fail(exitInterruptedBy, "interrupted: %s is unmounted, and its daemon %d goes on until its uploads have ended", t.path, d.pid)
		}
		s, err := d.ask(ctx)
		if err == nil {
			last = s
		}
		if err == nil && len(s.Uploads)+len(s.Waiting) > 0 {
			line.show(waitsFor(s))
			idleSince = time.Now()
		}
		if time.Since(idleSince) > idleLimit {
			return last, fail(exitTimedOut, "%s is unmounted, but its daemon %d has not ended in %s: see its log", t.path, d.pid, idleLimit)
		}
	}
}

// waitsFor is the one line about the uploads under way and those to come.
func waitsFor(s metrics.Snapshot) string {
	text, rest := "", len(s.Uploads)
	under := make(map[string]bool, len(s.Uploads))
	for _, u := range s.Uploads {
		under[u.Draft] = true
	}
	for _, w := range s.Waiting {
		if under[w.Draft] {
			continue
		}
		rest++
		if text == "" {
			text = w.Text(time.Now())
		}
	}
	if len(s.Uploads) > 0 {
		text = s.Uploads[0].Text()
	}
	text = "waiting for the upload of " + text
	if rest > 1 {
		text += fmt.Sprintf(", and %d more", rest-1)
	}
	return text
}
