package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errBusy: the mount is in use.
var errBusy = errors.New("in use")

// detachTimeout bounds one run of fusermount3: it does nothing that takes longer
// than the kernel's own work.
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

// detachForced takes the mount away from its path and, where the caller may, ends the
// kernel's connection, which may outlive a killed daemon: one of its threads tells the
// kernel of a change, and waits for the lock of the directory; who has that waits for
// the daemon's answer; and no signal ends either.
func (t target) detachForced(ctx context.Context) error {
	return t.unmount(ctx, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH|unix.MNT_FORCE)
}

func (t target) unmount(ctx context.Context, flags int) error {
	if uid := os.Geteuid(); uid != 0 && t.owner() != uid {
		return fail(exitMountDenied, "%s was mounted by uid %d: only they and root may unmount it", t.path, t.owner())
	}
	err := unix.Unmount(t.path, flags)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return errBusy
	case errors.Is(err, unix.EPERM): // not root, or root without CAP_SYS_ADMIN: the helper may
		return t.fusermount(ctx, flags&unix.MNT_DETACH != 0)
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
	ctx, cancel := context.WithTimeout(ctx, detachTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append(args, "--", t.path)...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", program, ctx.Err())
	}
	// The helper has one exit code for everything. Whose mount it is has been
	// checked, so what is still mounted is in use.
	if still, mountErr := topMount(t.path); mountErr == nil && still != nil && still.FSType == fsType && !lazy {
		return errBusy
	}
	return fail(exitInternal, "%s: %s", program, strings.TrimSpace(string(out)))
}

// abort ends the kernel's connection to the daemon: every request that waits
// fails, also of programs that a dead or stuck daemon keeps. It works on a mount
// that is detached already. It needs fusectl, which containers lack.
func (t target) abort() error {
	path := "/sys/fs/fuse/connections/" + strconv.Itoa(t.mount.Minor) + "/abort"
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("1")
	return errors.Join(err, f.Close())
}
