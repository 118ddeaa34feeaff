package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// killed mounts, and kills the daemon.
func (w *world) killed(endpoint string) (mountpoint string) {
	w.t.Helper()
	m := w.mounted(endpoint)
	w.kill(m)
	return m
}

// kill kills the daemon, and waits until the kernel knows.
func (w *world) kill(m string) {
	w.t.Helper()
	if err := unix.Kill(w.mustAsk(m).PID, unix.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the mount is dead", func() bool {
		said, err := w.sh("stat -f " + m) // as whom it belongs to: others are told nothing
		return err != nil && strings.Contains(said, "endpoint is not connected")
	})
}

// asSelfAndUser runs a test as who runs it, and where that is root as a user.
func asSelfAndUser(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for who, prepare := range map[string]func(*world) *world{"self": func(w *world) *world { return w }, "user": (*world).asUser} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			test(t, prepare(newWorld(t)))
		})
	}
}

// A mount whose daemon was killed answers nothing; it can be looked at, and goes.
func TestDeadMount(t *testing.T) {
	asSelfAndUser(t, func(t *testing.T, w *world) {
		endpoint := service(t, nil)
		for _, flags := range [][]string{nil, {"--force"}} {
			m := w.killed(endpoint)
			for _, asks := range [][]string{{"status", m}, {"ls", m}, {"info", m + "/x"}, {"info", m + "/.by-id/3c1e0686-2f6e-4e6a-a5dd-8c89da11bcff"}} {
				if said := w.mustFail(exitNoDaemon, asks...); !strings.Contains(oneLineOf(t, said), "unmount --force "+m) {
					t.Errorf("%v: %s", asks, said)
				}
			}
			if said := w.mustFail(exitMountDenied, "mount", "--endpoint", endpoint, m+"/x"); !strings.Contains(oneLineOf(t, said), "lies in the mount "+m) {
				t.Errorf("a mount in it: %s", said)
			}
			w.mustRun(append(append([]string{"unmount"}, flags...), m)...)
			if isMounted(t, m) {
				t.Error("it is mounted still")
			}
			if err := os.Remove(m); err != nil {
				t.Error(err)
			}
		}
	})
}

// A dead mount, also one of several, one that is in use and one by a link, is mounted over
// as if it was not there; a live one is not.
func TestMountOverDead(t *testing.T) {
	asSelfAndUser(t, func(t *testing.T, w *world) {
		endpoint := service(t, nil)
		m := w.killed(endpoint)
		// Where another cannot take its place it stays: a bare directory would take writes.
		w.mustFail(exitUnreachable, "mount", "--endpoint", "http://127.0.0.1:1", "--staging-dir", w.dir+"/staging", m)
		if said, err := w.sh("echo x > m/x"); err == nil || !strings.Contains(said, "endpoint is not connected") {
			t.Errorf("after a mount that failed: %v, %s", err, said)
		}
		if err := os.Symlink(m, filepath.Join(w.dir, "link")); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "link")
		if line := oneLineOf(t, stderr); code != exitOK || !strings.Contains(line, "the dead mount on link is taken away") {
			t.Fatalf("code %d: %s", code, stderr)
		}
		w.mustSh("echo x > m/x; test $(cat m/x) = x")
		if said := w.mustFail(exitMountBusy, "mount", "--endpoint", endpoint, m); !strings.Contains(oneLineOf(t, said), "is mounted already") {
			t.Errorf("a mount over a live one: %s", said)
		}
		w.mustSh("test $(cat m/x) = x")

		w.mustSh("cd m; sleep 60 >/dev/null 2>&1 & echo $! > ../pid") // which keeps it in use
		t.Cleanup(func() { w.mustSh("kill $(cat pid)") })
		w.kill(m)
		p := w.start("mount", "--foreground", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
		eventually(t, "it is mounted", func() bool { _, err := w.ask(m); return err == nil })
		w.mustSh("test $(cat m/x) = x")
		w.mustRun("unmount", m)
		if _, stderr, code := p.end(); code != exitOK || !strings.Contains(stderr, "the dead mount on "+m+" is taken away") {
			t.Errorf("code %d: %s", code, stderr)
		}
	})
}

// An unset variable is not the working directory, which may be a mount.
func TestNoMountpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, args := range [][]string{{"mount", "--endpoint", "http://127.0.0.1:1", ""}, {"unmount", ""}, {"unmount", "--force", ""}} {
		if said := w.mustFail(exitUsage, args...); !strings.Contains(said, "mountpoint is empty") {
			t.Errorf("%v: %s", args, said)
		}
	}
}

// Who finds a dead mount leaves alone what another program has mounted there before it came
// to take that away, though the kernel uses the numbers of mounts again.
func TestTakeDeadLooksAgain(t *testing.T) {
	w := newWorld(t)
	t.Setenv("XDG_RUNTIME_DIR", w.dir)
	endpoint := service(t, nil)
	m := w.killed(endpoint)
	dead, err := findTarget(m)
	if err != nil {
		t.Fatal(err)
	}
	w.mustRun("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
	if taken, err := dead.takeDead(t.Context()); taken || err != nil {
		t.Errorf("it was taken away: %t, %v", taken, err)
	}
	w.mustSh("ls m")
	w.mustRun("unmount", m)
}

// A mount that has gone since it was looked for is not ended by force: what has its number
// may be another's.
func TestForceLooksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	gone, m := w.mkdir("gone"), w.mounted(endpoint)
	now, err := findTarget(m)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := target{path: gone, mount: now.mount}
	before := *now.mount
	before.ID++
	for what, stale := range map[string]target{"one elsewhere": elsewhere, "the next one": {path: m, mount: &before}} {
		if err := stale.detachForced(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !isMounted(t, m) {
			t.Errorf("%s is taken away", what)
		}
	}
	w.mustSh("ls m")
	w.mustRun("unmount", m)
}

// The sockets of killed daemons go with the next mount, whatever their mountpoints; those
// of others, and what is no socket, stay.
func TestStaleSocketsGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	listen := func(mountpoint string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName(mountpoint)), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		return l
	}
	live := listen("/live")
	defer live.Close()
	for _, dead := range []string{"/dead", "/dead too"} {
		if err := listen(dead).Close(); err != nil {
			t.Fatal(err)
		}
	}
	file := "0123456789abcdef" + socketSuffix // nobody listens to a file
	if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{file, socketName("/live")}
	if os.Geteuid() == 0 {
		want = append(want, socketName("/another's"))
		l := listen("/another's")
		if err := errors.Join(l.Close(), os.Chown(filepath.Join(dir, socketName("/another's")), 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	s, err := listenStatus(t.Context(), "/m", []string{dir}, answers{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("left are %v, %v; want %v", names, err, want)
	}
}

// A mount that was taken away while it was in use has a daemon, which --force ends.
func TestForceAfterDetach(t *testing.T) {
	asSelfAndUser(t, func(t *testing.T, w *world) {
		m := w.mounted(service(t, nil))
		pid := w.mustAsk(m).PID
		w.mustSh("echo x > m/x; sleep 60 < m/x >/dev/null 2>&1 & echo $! > pid")
		t.Cleanup(func() { w.mustSh("kill $(cat pid)") })
		eventually(t, "the file is open", func() bool { return w.mustAsk(m).Handles == 1 })
		w.mustSh("fusermount3 -uz m")
		w.mustRun("unmount", "--force", m)
		eventually(t, "the daemon ends", func() bool { return ended(pid) })
		w.mustFail(exitNotMounted, "unmount", "--force", m)
	})
}
