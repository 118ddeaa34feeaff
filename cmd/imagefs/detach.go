package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errBusy: the mount is in use.
var errBusy = errors.New("in use")

// errHeld: the kernel has not taken the mount away in detachTimeout. It may write back
// what programs have stored through mappings, which waits for the daemon.
var errHeld = errors.New("the kernel holds the mount")

// detachTimeout bounds one unmount: where the daemon answers, or nothing waits for it,
// it takes no longer than the kernel's own work.
const detachTimeout = 10 * time.Second

// detach takes the mount away from its path; lazy also while it is in use: then
// who uses it can go on, and nobody else finds it. Kind of failure: errBusy.
func (t target) detach(ctx context.Context, lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	return t.unmount(ctx, flags)
}

// detachForced ends the kernel's connection, where the caller may, and takes the mount
// away from its path. The connection may outlive a killed daemon: one of its threads tells
// the kernel of a change, and waits for the lock of the directory; who has that waits for
// the daemon's answer; and no signal ends either. It ends first, for unmounting may wait
// for the daemon, too (errHeld). A mount that has gone meanwhile is left alone: its number
// may be another's by now.
func (t target) detachForced(ctx context.Context) error {
	if err := t.mayUnmount(); err != nil {
		return err
	}
	if there, err := t.isThere(); err != nil || !there {
		return err
	}
	_ = t.abort() // where that cannot be, root's unmount does it, and else the end of the daemon
	return t.unmount(ctx, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH|unix.MNT_FORCE)
}

func (t target) mayUnmount() error {
	if uid := os.Geteuid(); uid != 0 && t.owner() != uid {
		return fail(exitMountDenied, "%s was mounted by uid %d: only they and root may unmount it", t.path, t.owner())
	}
	return nil
}

func (t target) unmount(ctx context.Context, flags int) error {
	if err := t.mayUnmount(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- t.unmountNow(ctx, flags) }() // where the kernel holds it, it ends when that lets go
	select {
	case err := <-done:
		return err
	case <-time.After(detachTimeout):
		return fail(exitTimedOut, "%s: %w: its daemon may be stuck: imagefs unmount --force %s", t.path, errHeld, t.path)
	}
}

func (t target) unmountNow(ctx context.Context, flags int) error {
	err := unix.Unmount(t.path, flags)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return errBusy
	case errors.Is(err, unix.EPERM): // not root, or root without CAP_SYS_ADMIN: the helper may
		return t.fusermount(ctx, flags&unix.MNT_DETACH != 0)
	case t.hasGone():
		return nil
	default:
		return fail(exitInternal, "unmount %s: %w", t.path, err)
	}
}

func (t target) fusermount(ctx context.Context, lazy bool) error {
	program, err := exec.LookPath("fusermount3")
	if err != nil {
		if program, err = exec.LookPath("fusermount"); err != nil {
			return fail(exitNoFUSE, "fusermount3 is not in the PATH: install the package fuse3")
		}
	}
	args := []string{"-u"}
	if lazy {
		args = append(args, "-z")
	}
	out, err := exec.CommandContext(ctx, program, append(args, "--", t.path)...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fail(exitInterruptedBy, "interrupted: %s may be mounted still", t.path)
	}
	// The helper has one exit code for everything. Whose mount it is has been
	// checked, so what is still mounted is in use.
	if t.hasGone() {
		return nil
	}
	if still, mountErr := topMount(t.path); mountErr == nil && still != nil && still.FSType == fsType && !lazy {
		return errBusy
	}
	return fail(exitInternal, "%s: %s", program, strings.TrimSpace(string(out)))
}

// hasGone reports that another program has taken the mount away meanwhile.
func (t target) hasGone() bool {
	there, err := t.isThere()
	return err == nil && !there
}

func (t target) abortPath() string {
	return "/sys/fs/fuse/connections/" + strconv.Itoa(t.mount.Minor) + "/abort"
}

// abort ends the kernel's connection to the daemon: every request that waits
// fails, also of programs that a dead or stuck daemon keeps. It works on a mount
// that is detached already. It needs fusectl, which containers lack.
func (t target) abort() error {
	f, err := os.OpenFile(t.abortPath(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("1")
	return errors.Join(err, f.Close())
}
