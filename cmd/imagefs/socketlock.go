package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockLimit is how long the lock of the directory of sockets is waited for. Who takes a
	// dead mount away has it longest: for probeLimit and detachTimeout at most.
	lockLimit = probeLimit + detachTimeout + 3*time.Second
	// lockPoll is how often it is tried: a person does not notice the wait.
	lockPoll = 20 * time.Millisecond
)

// lockDir keeps two daemons from taking one socket, and two mounts from taking one dead
// mount away: who holds the lock looks, and does it. It waits for lockLimit at most, and
// says for whom in vain. Nobody holds it across a request to the service, or while a
// process ends. Its errors have their exit code.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	limit := time.After(lockLimit)
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		unlock, err = tryLockDir(dir)
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, errLocked):
			return nil, fail(exitLocalDir, "%w: the directory of the status sockets %s cannot be locked", err, dir)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fail(exitInterruptedBy, "interrupted: %s is locked by %s", dir, lockHolder(dir))
		case <-limit:
			return nil, fail(exitTimedOut, "%s is locked by %s, and was for %s: end that if it is stuck", dir, lockHolder(dir), lockLimit)
		}
	}
}

// errLocked: another program has the lock.
var errLocked = errors.New("locked by another program")

// tryLockDir is lockDir without a wait: errLocked.
func tryLockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing a directory frees the lock and cannot lose data
}

// lockHolder names who has the lock, where the kernel tells: not of a process in another
// container.
func lockHolder(dir string) string {
	const pid, inode = 4, 5 // fields of "3: FLOCK ADVISORY WRITE 11079 00:27:279 0 EOF"
	var st unix.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	if err = errors.Join(err, unix.Stat(dir, &st)); err != nil {
		return "another program"
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(locks)) {
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[1] != "FLOCK" || fields[inode] != file {
			continue
		}
		if name, err := os.ReadFile("/proc/" + fields[pid] + "/comm"); err == nil {
			return strings.TrimSpace(string(name)) + " (pid " + fields[pid] + ")"
		}
	}
	return "another program"
}
