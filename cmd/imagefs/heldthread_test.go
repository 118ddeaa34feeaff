package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// held is a mount whose daemon was killed while one of its threads told the kernel of a
// change: the thread waits for the lock of the directory, which the program that looks up
// a name has, and that one waits for the daemon. Neither can be killed.
func (w *world) held() (m string, pid int, lookup *waiter) {
	w.t.Helper()
	h, endpoint := holed(w.t)
	m = w.mounted(endpoint)
	pid = w.mustAsk(m).PID
	writer := w.waiter("exec >m/written; printf data; exec sleep 60")
	eventually(w.t, "a file is written", func() bool { _, err := w.sh("test -s m/written"); return err == nil })
	h.arm(func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "unknown") })
	lookup = w.waiter("exec stat m/unknown")
	eventually(w.t, "the service is asked", func() bool { return h.count() > 0 })
	if err := writer.p.Kill(); err != nil { // of which comes that its entry goes
		w.t.Fatal(err)
	}
	writer.end(w.t)
	eventually(w.t, "the kernel holds a thread", func() bool { return holdsThread(pid) })
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "it is killed but for that", func() bool { return isKilled(pid) && holdsThread(pid) })
	return m, pid, lookup
}

// holdsThread reports whether a thread of the process sleeps in the kernel's FUSE, where
// none can be killed that is not waiting for a request.
func holdsThread(pid int) bool {
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
	if err != nil {
		return false
	}
	for _, task := range tasks {
		stat, statErr := os.ReadFile(task + "/stat")
		where, whereErr := os.ReadFile(task + "/wchan")
		if statErr == nil && whereErr == nil && strings.Contains(string(stat), ") D ") && strings.HasPrefix(string(where), "fuse_") {
			return true
		}
	}
	return false
}

// What the kernel holds of a killed daemon ends with its connection, which unmount --force
// and another mount end; others are told that they should.
func TestHeldThread(t *testing.T) {
	t.Parallel()
	for how, then := range map[string]func(w *world, m string){
		"unmount": func(w *world, m string) {
			if said := w.mustFail(exitNoDaemon, "unmount", m); !strings.Contains(oneLineOf(w.t, said), "unmount --force "+m) {
				w.t.Errorf("without --force: %s", said)
			}
			w.mustRun("unmount", "--force", m)
		},
		"remount": func(w *world, m string) {
			w.mustRun("mount", "--endpoint", service(t, nil), "--staging-dir", w.dir+"/staging", m)
			w.mustSh("echo x > m/x; test $(cat m/x) = x")
			w.mustRun("unmount", m)
		},
		"user": func(w *world, m string) { w.forceInNamespace(m) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if how == "user" {
				if w.asUser().uid == os.Geteuid() {
					return // who has no privileges cannot mount fusectl for the test
				}
			}
			m, pid, lookup := w.held()
			then(w, m)
			lookup.end(t)
			eventually(t, "the kernel lets the daemon go", func() bool { return !holdsThread(pid) })
		})
	}
}

// forceInNamespace unmounts by force as a user, where fusectl is mounted: in a namespace
// of its own, so that the machine stays as it is. The unmount itself stays in there, too.
func (w *world) forceInNamespace(m string) {
	w.t.Helper()
	id := strconv.Itoa(w.uid)
	cmd := exec.Command("unshare", "--mount", "sh", "-ec",
		`mount -t fusectl none /sys/fs/fuse/connections; exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"`, id, w.program, "unmount", "--force", m)
	cmd.Dir, cmd.Env = w.dir, w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("%v: %s", err, out)
	}
}
