package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/fs"
)

const (
	// dialLimit bounds the requests that a mount begins with: a service that
	// needs longer would make the mount useless.
	dialLimit = 90 * time.Second
	// cleanUpLimit is how long commits that were given up may take to remove what
	// they made at the service.
	cleanUpLimit = 5 * time.Second
	// leaveLimit is how long it may take to leave the drafts in staging then: each is
	// synced.
	leaveLimit = 3 * time.Second
	// detachedPoll is how often a mount that was taken away while in use is looked
	// at.
	detachedPoll = 200 * time.Millisecond
)

// life is what one mount is told.
type life struct {
	mountpoint string
	config     config.Config
	log        *slog.Logger
	reread     func()                     // at SIGHUP, which ends the mount where this is nil
	logFile    string                     // "" in the foreground
	ready      func(notes []string) error // called once, when the mount answers
}

// served is a mounted filesystem.
type served interface {
	// Wait returns when it is unmounted and every commit has ended.
	Wait()
	// Unmounted is closed when the kernel's side is gone; Wait goes on.
	Unmounted() <-chan struct{}
	Waiting() []fs.Waiting
	Writing() []fs.Writing
	OpenHandles() int
	Passthrough() fs.Passthrough
	// Abort ends the commits: their drafts stay.
	Abort()
	// Sync puts what is being written on the local disk.
	Sync(ctx context.Context)
}

// liveMount is the life of a mount: from its first request until it is unmounted
// and the last commit has ended.
func liveMount(ctx context.Context, l life) error {
	defer endLog(l.log)
	var recent *recentLines
	l.log, recent = newRecentLog(l.log)
	if granted := limitMemory(l.config.Memory); granted != l.config.Memory {
		l.log.Warn("GOMEMLIMIT leaves less for the cache in memory", "asked", l.config.Memory, "granted", granted)
		l.config.Memory = granted
	}
	signal.Ignore(unix.SIGPIPE) // a reader of the log that goes must not leave a dead mount
	interrupts := watchInterrupts(ctx, endSignals(l.reread == nil)...)
	defer interrupts.stop()
	if l.reread != nil {
		defer watchHangups(l.reread, l.log)()
	}

	r, err := openRooms(interrupts.first, l.config, l.log)
	if err != nil {
		return err
	}
	if l.logFile != "" { // a daemon must not keep a filesystem busy; relative paths have been read by now
		if err := os.Chdir("/"); err != nil {
			return errors.Join(fail(exitInternal, "%w", err), r.close())
		}
	}
	about := about{mountpoint: l.mountpoint, logFile: l.logFile, config: l.config, started: time.Now(), rooms: r, recent: recent}
	socket, err := listenStatus(interrupts.first, l.mountpoint, runtimeDirs(os.Geteuid(), os.Getenv), answers{
		snapshot: about.snapshot, end: interrupts.both, entries: about.entries(l.log), warm: about.warmer(), cache: about.cacheKeeper(),
	}, l.log)
	if err != nil {
		return errors.Join(err, r.close())
	}
	if err = l.listenWeb(interrupts.first, &about); err == nil {
		err = l.serve(interrupts, r, &about)
	}
	ended, told := l.closeAnswers(context.Background(), &about, socket) // before the rooms
	switch {
	case errors.Is(err, errLeft): // the rooms are still in use; they end with the process
		return told
	case errors.Is(err, errNotWaited): // here, too
		return errors.Join(fail(exitInterruptedBy, "ended without waiting: unfinished files stay in %s", l.config.StagingDir), told)
	case !ended: // and here
		return errors.Join(err, told)
	}
	return errors.Join(err, told, r.close())
}

// errLeft: the stop timeout is over, and a service that does not go on holds a
// request, or a disk a look at it; what it was for goes on at the next mount.
var errLeft = errors.New("left to the next mount")

// errNotWaited: a second signal ended the waiting; nothing is waited for any more.
var errNotWaited = errors.New("not waited")

// serve mounts, says so, and returns when everything has ended.
func (l life) serve(interrupts interrupts, r *rooms, a *about) error {
	if interrupts.first.Err() != nil {
		return fail(exitInterruptedBy, "interrupted: nothing was mounted")
	}
	if !l.config.ReadOnly {
		r.finishRenames(interrupts.first) // first: they decide about drafts
	}
	notes := r.noteKept(l.config.ReadOnly, l.log) // the mount takes up some of them
	// Once more: the service may have been slow, and another user's daemon, whose socket is
	// elsewhere, is kept away by its mount alone.
	if err := checkFree(l.mountpoint); err != nil {
		return err
	}
	server, err := r.mount(interrupts.first, l.mountpoint, l.config)
	if err != nil {
		return mountFailure(err, l.mountpoint, l.logFile)
	}
	a.serving.Store(&server)
	t, err := findTarget(l.mountpoint)
	if err != nil {
		l.log.Warn("the mount table cannot be read; unmount by hand", "mountpoint", l.mountpoint, "error", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Wait()
	}()
	l.log.Info("mounted", "mountpoint", l.mountpoint, "service", r.client.Service(), "project", r.client.Project())
	keeper := l.startRecovery(r)
	if r.client.Insecure() {
		l.log.Warn(insecureNote)
		notes = append(notes, insecureNote)
	}
	if server := a.web.Load(); server != nil && server.Open() {
		l.log.Warn(openNote, "address", server.URL())
		notes = append(notes, openNote)
	}
	if r.diskNote != "" {
		notes = append(notes, r.diskNote)
	}
	if note := r.fresh.note(); note != "" && !l.config.ReadOnly {
		notes = append(notes, note)
	}
	stopWatchdog := func() bool { return true }
	err = l.ready(notes)
	if err != nil {
		l.log.Error("nobody waits for the mount any more; it is unmounted", "error", err)
	} else {
		l.notify(systemd.SdNotifyReady + "\nMAINPID=" + strconv.Itoa(os.Getpid()))
		stopWatchdog = l.startWatchdog(func() { a.snapshot() })
		select {
		case <-ended:
		case <-server.Unmounted():
		case <-interrupts.first.Done():
		}
	}
	a.ending.Store(true)
	l.notify(systemd.SdNotifyStopping)
	keeper.stop()
	endErr := l.end(interrupts, t, r, server, ended)
	if endErr == nil && !keeper.wait(cleanUpLimit) {
		endErr = errLeft
	}
	if !stopWatchdog() && endErr == nil { // after the uploads that were waited for
		endErr = errLeft
	}
	return errors.Join(err, endErr)
}

// startRecovery begins to look after what earlier runs left. A mount that is read-only
// leaves it alone.
func (l life) startRecovery(r *rooms) *recovery {
	if l.config.ReadOnly {
		return nil
	}
	keeper := &recovery{
		store: r.staging, resumer: r, project: r.client.Project(), ttl: l.config.AbandonedTTL, now: r.client.Now, log: l.log,
		left: r.left,
	}
	keeper.start()
	return keeper
}

// end takes the mount away, if that has not happened, and waits for the commits as
// long as it has endurance.
func (l life) end(interrupts interrupts, t target, r *rooms, server served, ended <-chan struct{}) error {
	lazy := false
	select {
	case <-ended:
	default:
		lazy = l.takeAway(t)
	}
	endurance := newEndurance(l.config.StopTimeout, interrupts.first.Err() != nil, time.Now())
	ticker := time.NewTicker(detachedPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			l.log.Info("unmounted", "mountpoint", l.mountpoint)
			return nil
		case <-interrupts.second.Done():
			l.giveUp(t, r, server, ended)
			return errNotWaited
		case <-ticker.C:
		}
		// A working directory in a mount that was taken away holds it for ever.
		// It has no bytes: the end of this process ends the connection.
		if lazy && server.OpenHandles() == 0 && r.liveDrafts.Load() == 0 {
			l.log.Info("unmounted; a directory of it is still in use", "mountpoint", l.mountpoint)
			return nil
		}
		if !endurance.total && interrupts.first.Err() != nil {
			endurance = newEndurance(l.config.StopTimeout, true, time.Now())
		}
		if (endurance.total || isClosed(server.Unmounted())) && endurance.spent(time.Now(), r.committer.Active(), r.liveDrafts.Load()) {
			l.log.Warn("uploads have not ended within the stop timeout; the next mount goes on with them",
				"mountpoint", l.mountpoint, "timeout", l.config.StopTimeout, "waiting", len(server.Waiting()), "open", server.OpenHandles())
			switch {
			case l.giveUp(t, r, server, ended):
				l.log.Info("unmounted", "mountpoint", l.mountpoint)
				return nil
			case server.OpenHandles() == 0:
				return errLeft
			}
			return errNotWaited
		}
	}
}

// giveUp ends the commits, and reports whether everything has ended with them: open
// files of a mount that was taken away do not.
func (l life) giveUp(t target, r *rooms, server served, ended <-chan struct{}) bool {
	server.Abort()
	l.takeAway(t)
	r.waitForCleanUp(cleanUpLimit)
	limit := time.After(leaveLimit)
	synced := make(chan struct{})
	go func() { // where the disk does not answer, it ends with the process
		defer close(synced)
		server.Sync(context.Background())
	}()
	select {
	case <-synced:
	case <-limit:
		return isClosed(ended)
	}
	select {
	case <-ended:
		return true
	case <-limit:
		return false
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// takeAway detaches the mount, also while it is in use, and says which it was.
// Where that fails, the end comes when somebody else unmounts.
func (l life) takeAway(t target) (lazy bool) {
	if t.mount == nil {
		return false
	}
	if there, err := t.isThere(); err != nil || !there {
		return false // unmounted already
	}
	err := t.detach(context.Background(), false)
	if err == nil || errors.Is(err, errHeld) { // held: the kernel goes on with it, which asks us
		return false
	}
	l.log.Warn("in use: taken away from its path, waiting for open files; a second signal does not wait",
		"mountpoint", l.mountpoint, "users", t.users(), "error", err)
	if err := t.detach(context.Background(), true); err != nil {
		l.log.Error("cannot be unmounted; do it by hand", "mountpoint", l.mountpoint, "error", err)
		return false
	}
	return true
}

// notify tells systemd; without systemd it does nothing.
func (l life) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		l.log.Warn("systemd cannot be told", "error", err)
	}
}
