package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probeLimit is how long the kernel may take to say whether a mount has a daemon. One
// that has none answers at once.
const probeLimit = 2 * time.Second

// takeDead takes the mounts of killed daemons away from a path that is to be mounted on,
// and reports whether there was one. A live one stays, also one that does not answer.
func takeDead(ctx context.Context, path string) (taken bool, err error) {
	for {
		t, err := findTarget(path)
		if err != nil || t.mount == nil || !t.isDead(ctx) {
			return taken, err
		}
		mine, err := t.takeDead(ctx)
		if err != nil {
			return taken, err
		}
		taken = taken || mine
	}
}

// takeDead takes a dead mount away. false: another program has done so meanwhile.
func (t target) takeDead(ctx context.Context) (bool, error) {
	d, end, err := t.detachDead(ctx)
	if end == nil {
		return false, err
	}
	defer end.close()
	if err != nil {
		return false, err
	}
	if gone, err := end.wait(killLimit); err != nil || !gone {
		return true, errors.Join(fail(exitNoDaemon, "%s: the kernel does not let go of the killed daemon %d: end the connection as root, by writing 1 to %s",
			t.path, d.pid, t.abortPath()), err)
	}
	return true, nil
}

// detachDead detaches a dead mount, and returns its daemon, if the kernel keeps something of
// it, and its end; nil if another program has detached it. What that has mounted there since
// must not go: they take the lock in turn, and look whether it is dead. (The kernel gives a
// new mount the number of one that has gone.)
func (t target) detachDead(ctx context.Context) (d daemon, end *processEnd, err error) {
	dir, err := makeRuntimeDir(runtimeDirs(os.Geteuid(), os.Getenv))
	if err != nil {
		return d, nil, err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return d, nil, err
	}
	defer unlock()
	if there, err := t.isThere(); err != nil || !there || !t.isDead(ctx) {
		return d, nil, err
	}
	end = &processEnd{fd: -1}
	if d, err = findDaemon(ctx, t); err == nil { // what the kernel keeps of it has the socket still
		if end, err = watchEnd(d.pid); err != nil { // before it is let go: its pid may be another's then
			return d, nil, fail(exitInternal, "daemon %d: %w", d.pid, err)
		}
	}
	return d, end, t.detachForced(ctx)
}

// isDead reports whether the daemon of the mount is certain to have ended.
func (t target) isDead(ctx context.Context) bool {
	switch d, err := findDaemon(ctx, t); {
	case err == nil:
		return isKilled(d.pid)
	case !errors.Is(err, errNoDaemon):
		return false
	}
	// A daemon in another container may have its sockets elsewhere. The kernel knows: it
	// asks a daemon if there is one, and answers by itself if there is none.
	answer := make(chan error, 1)
	go func() { answer <- unix.Statfs(t.path, new(unix.Statfs_t)) }() // ends with the answer
	select {
	case err := <-answer:
		return errors.Is(err, unix.ENOTCONN)
	case <-time.After(probeLimit):
		return false
	}
}

// isKilled reports whether a process has ended, or is being ended by SIGKILL and the
// kernel holds a thread of it: see detachForced. One that cannot be seen from here has not.
func isKilled(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch field {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return true
			}
		case "SigPnd", "ShdPnd": // of the first thread, which may be the one that is held
			if pending, err := strconv.ParseUint(value, 16, 64); err == nil && pending&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}
