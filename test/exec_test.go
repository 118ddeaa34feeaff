package test

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program may start another one while it writes: the close that execve(2) makes
// of the inherited descriptor is answered, though the kernel keeps parts of /proc
// locked until then, and nothing is committed by it.
func TestExecWhileWriting(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		forked, execed := s.cleanName(t, "forked.img"), s.cleanName(t, "execed.img")
		script := `
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.write(fd, b"one ")
if sys.argv[2] == "exec":
    os.execv("/bin/true", ["true"])
pid = os.fork()
if pid == 0:
    os.execv("/bin/true", ["true"])
os.waitpid(pid, 0)
os.write(fd, b"two")
os.close(fd)
`
		within(t, m, "python3", "-c", script, m.path(forked), "fork")
		holds(t, s.one(t, forked), []byte("one two"))
		if got := m.commits(); got != 1 {
			t.Errorf("%d commits, want 1", got)
		}
		within(t, m, "python3", "-c", script, m.path(execed), "exec")
		m.settled()
		holds(t, s.one(t, execed), []byte("one "))
	})
}

// within runs a command that might wait for ever: then it ends the daemon, without
// which nothing could end the command.
func within(t *testing.T, m *mount, name string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience/2, func() {
		t.Errorf("%s does not end; the daemon is killed", name)
		if err := m.daemon.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	err := cmd.Wait()
	stuck.Stop()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, said.String())
	}
}

// commits is the number of commits that the log tells of.
func (m *mount) commits() int { return strings.Count(m.log.String(), "msg=committed") }

// A process in execve(2) whose close waits for an upload cannot be looked at: the
// daemon, which says who uses a mount that it takes away, does not wait for it, and
// hears a second signal.
func TestEndDuringExec(t *testing.T) {
	g, s := newGate(t, services[0])
	m := mountOn(t, s)
	name := s.cleanName(t, "execing.img")
	g.holdUploads()
	script := `
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.write(fd, b"one ")
os.execv("/bin/true", ["true"])
`
	writer := exec.Command("python3", "-c", script, m.path(name))
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("an upload to be under way", func() bool { return g.waiting() == 1 })

	signal(t, m, syscall.SIGTERM)
	m.forced = true
	if err := m.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until("the daemon to end", m.hasEnded)
	if err := writer.Wait(); err != nil {
		t.Errorf("the program that was started: %v", err)
	}
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
	if kept := m.drafts(); len(kept) != 1 {
		t.Errorf("drafts %v, want one", kept)
	}
}
