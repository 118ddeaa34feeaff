package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/localdir"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

const (
	// statusPath is where the socket's HTTP server has the snapshot, and endPath
	// what ends the daemon without waiting.
	statusPath = "/status"
	endPath    = "/end"
	// askTimeout bounds one question to a daemon: it answers from memory and the
	// local disk.
	askTimeout = 5 * time.Second
	// attendEvery is how often a daemon is looked at from which more is expected: with
	// askTimeout, who waits for it learns within 8 seconds that it is stuck.
	attendEvery = 3 * time.Second
	// maxAnswer, in bytes, bounds what is read of an answer: some hundred bytes
	// for each of thousands of drafts.
	maxAnswer = 8 << 20
)

// answers are what a daemon answers with.
type answers struct {
	snapshot func() metrics.Snapshot
	end      func() // returns at once
	entries  *entries
	warm     *warmer
	cache    *cacheKeeper
}

// listenStatus takes the mountpoint's socket, and answers there until Close, which also
// removes it. It fails with exitMountBusy while
// another daemon has it: one that is mounted there, or that still finishes the
// uploads of the mount before.
func listenStatus(ctx context.Context, mountpoint string, dirs []string, a answers, log *slog.Logger) (*web.Answers, error) {
	dir, err := makeRuntimeDir(dirs)
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	path := filepath.Join(dir, socketName(mountpoint))
	sweepSockets(dir)
	switch taken, err := removeDead(path); {
	case taken:
		return nil, fail(exitMountBusy, "another imagefs daemon has %s, which mounts there just now or finishes the uploads of the mount before: see imagefs status %s",
			mountpoint, mountpoint)
	case err != nil:
		return nil, fail(exitLocalDir, "%w: the status socket cannot be made", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fail(exitLocalDir, "%w: the status socket cannot be made", err)
	}
	return web.Serve(listener, &http.Server{ // its end removes the file of the listener, before it: nobody else's
		Handler: a.handler(log), ReadHeaderTimeout: askTimeout, WriteTimeout: askTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}, func(err error) { log.Warn("status can no longer be asked for", "error", err) }), nil
}

func (a answers) handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a.snapshot()); err != nil {
			log.Debug("who asked for the status did not wait for it", "error", err)
		}
	})
	mux.HandleFunc("POST "+endPath, func(w http.ResponseWriter, _ *http.Request) {
		log.Warn("told to end without waiting; unfinished files stay in staging")
		w.WriteHeader(http.StatusAccepted)
		a.end()
	})
	mux.HandleFunc("GET "+entriesPath, func(w http.ResponseWriter, r *http.Request) { a.entries.all(w, r) })
	mux.HandleFunc("GET "+entryPath, func(w http.ResponseWriter, r *http.Request) { a.entries.one(w, r) })
	mux.HandleFunc("GET "+cachePath, a.cache.listed(log))
	mux.HandleFunc("POST "+cacheVerifyPath, serveWork(log, func(q cacheQuestion) work { return a.cache.work(q, diskCache.verify) }))
	mux.HandleFunc("POST "+cacheDropPath, serveWork(log, func(q cacheQuestion) work { return a.cache.work(q, diskCache.drop) }))
	mux.HandleFunc("POST "+warmPath, serveWork(log, func(q warmQuestion) work { return a.warm.warm(q) }))
	return mux
}

// removeDead removes a socket that a killed daemon of this user left; taken says that a
// daemon is alive behind it. What is not a socket, or another user's, stays. The directory
// must be locked.
func removeDead(path string) (taken bool, err error) {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK, int(st.Uid) != os.Geteuid():
		return false, fmt.Errorf("%s is not a socket of uid %d", path, os.Geteuid())
	}
	conn, err := net.DialTimeout("unix", path, askTimeout)
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.ECONNREFUSED): // nobody listens
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		return false, nil // its daemon was just ending
	default: // a daemon that is stuck does not answer either
		return true, nil
	}
}

// sweepSockets removes what killed daemons of this user have left for other mountpoints,
// to which nobody may ever return. The directory must be locked. Nothing depends on it.
func sweepSockets(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "*"+socketSuffix))
	for _, path := range left {
		_, _ = removeDead(path)
	}
}

// sweepDead removes what a killed daemon of this user left for a mountpoint.
// Nothing depends on it: the next mount there does it too.
func sweepDead(mountpoint string) {
	for _, dir := range runtimeDirs(os.Geteuid(), os.Getenv) {
		path := filepath.Join(dir, socketName(mountpoint))
		if _, err := os.Lstat(path); err != nil || localdir.Check(dir, os.Geteuid()) != nil {
			continue
		}
		if unlock, err := tryLockDir(dir); err == nil {
			_, _ = removeDead(path) // as said above
			unlock()
		}
	}
}
