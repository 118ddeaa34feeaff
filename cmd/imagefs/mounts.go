package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

// fsType is how the kernel names our mounts.
const fsType = "fuse.imagefs"

// topMount returns the mount that is on top at exactly this path, or nil. It
// reads the mount table and never touches the path, which a dead or stuck mount
// would not answer.
func topMount(path string) (*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil {
		return nil, fail(exitInternal, "%w: the mount table cannot be read", err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all[len(all)-1], nil // the table is in the order of mounting
}

// target is what status and unmount are about: a canonical path, and the mount
// there, which is nil when only the daemon may be left.
type target struct {
	path  string
	mount *mountinfo.Info
}

// findTarget finds what the user means by path without touching a mount.
func findTarget(path string) (target, error) {
	if path == "" { // an unset variable, and not the working directory
		return target{}, fail(exitUsage, "the mountpoint is empty: name it")
	}
	at, below, err := locate(path)
	if err != nil {
		return target{}, err
	}
	if below != "" {
		return target{path: filepath.Join(at, below)}, nil
	}
	m, err := topMount(at)
	if err != nil {
		return target{}, err
	}
	return ours(at, m), nil
}

func ours(path string, m *mountinfo.Info) target {
	if m != nil && m.FSType == fsType {
		return target{path: path, mount: m}
	}
	return target{path: path}
}

// isThere reports whether the target's mount is on top at its path, and no other, as far as
// the numbers of the mount and of its connection tell, of which the kernel gives either to
// the next one when it is free. So an imagefs mount that has come to the same path since can
// be taken for this one: not while its daemon lives, but for one of another user, for that
// has the path's socket; and who takes a dead one away has the lock of the sockets, and
// looks whether it is dead (detachDead).
func (t target) isThere() (bool, error) {
	now, err := topMount(t.path)
	return now != nil && now.FSType == fsType && now.Minor == t.mount.Minor && now.ID == t.mount.ID, err
}

// notMounted says so, and what is mounted instead.
func (t target) notMounted() error {
	all, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil || len(all) == 0 {
		return fail(exitNotMounted, "%s is not an imagefs mount, and there is no other", t.path)
	}
	var paths []string
	for _, m := range all {
		paths = append(paths, m.Mountpoint)
	}
	return fail(exitNotMounted, "%s is not an imagefs mount: use %s", t.path, strings.Join(paths, " or "))
}

// owner is the uid that mounted; own uid where the kernel does not tell.
func (t target) owner() int {
	if t.mount != nil {
		for _, option := range strings.Split(t.mount.VFSOptions, ",") {
			if id, ok := strings.CutPrefix(option, "user_id="); ok {
				if uid, err := strconv.Atoi(id); err == nil {
					return uid
				}
			}
		}
	}
	return os.Geteuid()
}

const (
	// maxUsers is how many processes a message names before it gets unreadable.
	maxUsers = 3
	// lookLimit bounds the look at one process: a process in execve(2) answers only
	// when that has closed its files, which may wait for the mount's own daemon.
	lookLimit = 100 * time.Millisecond
	// usersLimit bounds the look at all of them; there may be thousands, and some
	// that do not answer.
	usersLimit = 2 * time.Second
)

// users names processes that keep the mount busy, as far as this user can see:
// those with an open file or their working directory in it. Reading the links in
// /proc does not touch the mount. It takes usersLimit at most; a process that does
// not answer is left out, and the goroutine that looks at it ends when the kernel
// lets it, at the latest with this process.
func (t target) users() []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []string
	end := time.Now().Add(usersLimit)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue // no process
		}
		if len(found) == maxUsers || time.Now().After(end) {
			break
		}
		proc := filepath.Join("/proc", e.Name())
		used := make(chan bool, 1)
		go func() { used <- t.usedBy(proc) }()
		select {
		case yes := <-used:
			if !yes {
				continue
			}
		case <-time.After(lookLimit):
			continue
		}
		name, err := os.ReadFile(filepath.Join(proc, "comm"))
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended meanwhile
		}
		found = append(found, strings.TrimSpace(string(name))+" (pid "+e.Name()+")")
	}
	return found
}

func (t target) usedBy(proc string) bool {
	links := []string{filepath.Join(proc, "cwd"), filepath.Join(proc, "root")}
	if entries, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
		for _, e := range entries {
			links = append(links, filepath.Join(proc, "fd", e.Name()))
		}
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err == nil && (to == t.path || strings.HasPrefix(to, t.path+"/")) {
			return true
		}
	}
	return false
}
