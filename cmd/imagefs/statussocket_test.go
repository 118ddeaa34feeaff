package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/localdir"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

var quiet = slog.New(slog.DiscardHandler)

func TestStatusSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	told := 0
	want := metrics.Snapshot{Mountpoint: "/m", PID: 7, Uploads: []metrics.Upload{{Name: "x", Size: 3}}, Drafts: []metrics.Draft{}}
	s, err := listenStatus(t.Context(), "/m", []string{dir}, answers{snapshot: func() metrics.Snapshot { return want }, end: func() { told++ }}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, socketName("/m"))
	for file, mode := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %o", file, info.Mode().Perm(), err, mode)
		}
	}
	got, err := daemon{socket: path}.ask(context.Background())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := (daemon{socket: path}).end(context.Background()); err != nil || told != 1 {
		t.Errorf("told to end %d times, %v", told, err)
	}
	// Another daemon cannot take the mountpoint, and can take another one.
	if _, err := listenStatus(t.Context(), "/m", []string{dir}, answers{}, quiet); codeOf(err) != exitMountBusy || !strings.Contains(err.Error(), "see imagefs status /m") {
		t.Errorf("a second daemon: %v", err)
	}
	other, err := listenStatus(t.Context(), "/n", []string{dir}, answers{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*web.Answers{other, s} {
		if err := server.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := (daemon{socket: path}).ask(context.Background()); err == nil {
		t.Error("a closed socket answers")
	}
}

// An answer that a disk holds does not hold the end of the daemon.
func TestHungAnswerIsLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	hangs, disk := make(chan struct{}), make(chan struct{})
	s, err := listenStatus(t.Context(), "/m", []string{dir}, answers{snapshot: func() metrics.Snapshot {
		close(hangs)
		<-disk
		return metrics.Snapshot{}
	}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error)
	go func() {
		_, err := daemon{socket: filepath.Join(dir, socketName("/m"))}.ask(t.Context())
		asked <- err
	}()
	<-hangs
	var log strings.Builder
	l := life{log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the time is over
	if ended, err := l.closeAnswers(ctx, new(about), s); ended || err != nil || !strings.Contains(log.String(), "an answer about it hangs") {
		t.Errorf("ended %v, %v: %s", ended, err, log.String())
	}
	if err := <-asked; err == nil {
		t.Error("who asked had an answer")
	}
	close(disk)
	if ended, err := l.closeAnswers(t.Context(), new(about), s); !ended || err != nil {
		t.Errorf("after that: ended %v, %v", ended, err)
	}
}

// A killed daemon leaves its socket; the next one takes its place.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName("/m")), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := listenStatus(t.Context(), "/m", []string{dir}, answers{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestRuntimeDirIsPrivate(t *testing.T) {
	base := t.TempDir()
	open, link, file := filepath.Join(base, "open"), filepath.Join(base, "link"), filepath.Join(base, "file")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(base, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, link, file, filepath.Join(base, "no", "where", "x")} {
		if got, err := makeRuntimeDir([]string{dir}); codeOf(err) != exitLocalDir {
			t.Errorf("%s is taken as %q: %v", dir, got, err)
		} else if user := os.Geteuid() != 0; user != strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
			t.Errorf("it says what does not help: %v", err) // root's daemons do not look at that variable
		}
	}
	good := filepath.Join(base, "good")
	if got, err := makeRuntimeDir([]string{filepath.Join(base, "none", "x"), open, good}); err != nil || got != good {
		t.Errorf("the first usable one: %q, %v", got, err)
	}
	if err := os.Chmod(good, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := makeRuntimeDir([]string{good}); err != nil || got != good {
		t.Errorf("one that others may look into: %q, %v", got, err)
	}
	if info, err := os.Stat(good); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it stays %v, %v", info.Mode(), err)
	}
	if err := localdir.Check(good, os.Geteuid()+1); err == nil {
		t.Error("another's directory counts as theirs")
	}
}

func TestRuntimeDirs(t *testing.T) {
	env := func(dir string) func(string) string { return func(string) string { return dir } }
	t.Setenv("TMPDIR", "/tmp")
	if got := runtimeDirs(0, env("/run/user/0")); !slices.Equal(got, []string{"/run/imagefs"}) {
		t.Errorf("root: %v", got)
	}
	if got := runtimeDirs(4321, env("/x")); !slices.Equal(got, []string{"/run/user/4321/imagefs", "/tmp/imagefs-4321"}) {
		t.Errorf("another user's: %v", got)
	}
	if socketName("/a") == socketName("/b") || len(socketName(strings.Repeat("x", 5000))) > 30 {
		t.Error("socket names are short and distinct")
	}
}
