package test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// uploading begins `cp` of a file into the mount and returns when its upload is
// under way and held by the gate.
func uploading(t *testing.T, g *gate, m *mount, source, name string) *exec.Cmd {
	t.Helper()
	g.holdUploads()
	cp := exec.Command("cp", source, m.path(name))
	cp.Stderr = m.log
	if err := cp.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("an upload to be under way", func() bool { return g.waiting() == 1 })
	return cp
}

// However a mount is ended while a close uploads, the upload is finished first and
// the close tells the truth: unmount waits, a lazy unmount and a signal let the
// daemon go on.
func TestEndDuringUpload(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(70, 5<<20)
	source := file(t, "source", data)
	ways := map[string]func(m *mount){
		"unmount": func(m *mount) {
			wait := exec.Command(binary, "unmount", m.dir)
			if err := wait.Start(); err != nil {
				t.Fatal(err)
			}
			g.letGo()
			if err := wait.Wait(); err != nil {
				t.Errorf("unmount: %v", err)
			}
		},
		"lazy unmount": func(m *mount) { run(t, "fusermount3", "-u", "-z", m.dir) },
		"SIGTERM":      func(m *mount) { signal(t, m, syscall.SIGTERM) },
		"SIGINT":       func(m *mount) { signal(t, m, syscall.SIGINT) },
	}
	for what, end := range ways {
		t.Run(what, func(t *testing.T) {
			m := mountOn(t, s)
			name := s.cleanName(t, "ending.img")
			cp := uploading(t, g, m, source, name)
			end(m)
			g.letGo()
			if err := cp.Wait(); err != nil {
				t.Errorf("cp: %v", err)
			}
			m.until("the daemon to end", func() bool { return m.hasEnded() })
			holds(t, s.one(t, name), data)
			if mounted(t, m.dir) {
				t.Error("it is still mounted")
			}
			if left := m.drafts(); len(left) != 0 {
				t.Errorf("%v is left in staging", left)
			}
		})
	}
}

func signal(t *testing.T, m *mount, s syscall.Signal) {
	t.Helper()
	if err := m.daemon.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	m.until("the mount to be taken away", func() bool { return !mounted(t, m.dir) })
}

func (m *mount) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// unmount --force waits for nothing: the close fails, the draft is kept, and the
// service has nothing of it.
func TestForceDuringUpload(t *testing.T) {
	g, s := newGate(t, services[0])
	source := file(t, "source", noise(71, 5<<20))
	m := mountOn(t, s)
	name := s.cleanName(t, "forced.img")
	cp := uploading(t, g, m, source, name)
	m.forced = true
	run(t, binary, "unmount", "--force", m.dir)
	if err := cp.Wait(); err == nil {
		t.Error("cp succeeded")
	}
	if mounted(t, m.dir) {
		t.Error("it is still mounted")
	}
	<-m.ended
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
	if kept := m.drafts(); len(kept) != 1 {
		t.Errorf("drafts %v, want one", kept)
	} else {
		run(t, "cmp", source, strings.TrimSuffix(kept[0], ".json")+".data")
	}
}

// A daemon that is killed in the middle of an upload leaves nothing that others
// see, and all the bytes: the next mount on the place that it left goes on.
func TestKilledDaemon(t *testing.T) {
	g, s := newGate(t, services[0])
	source := file(t, "source", noise(72, 5<<20))
	m := mountOn(t, s)
	name := s.cleanName(t, "orphan.img")
	cp := uploading(t, g, m, source, name)
	if err := m.daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-m.ended
	if err := cp.Wait(); err == nil {
		t.Error("cp succeeded")
	}
	g.letGo()
	for _, img := range s.images(t, name) {
		if !img.Hidden {
			t.Errorf("others see %+v", img)
		}
	}
	if _, err := os.ReadDir(m.dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("the dead mount says %v", err)
	}
	cleanLog(t, m.dir)
	run(t, binary, slices.Concat([]string{"mount", "--staging-dir", m.staging, "--cache-dir", m.cache}, s.args, []string{m.dir})...)
	m.until("what was being uploaded to be committed", func() bool { return len(m.drafts()) == 0 })
	run(t, "cmp", source, m.path(name))
	run(t, binary, "unmount", m.dir)
}

// Ctrl-C ends a cp that waits for its upload, at once; the draft is kept. What the
// user does next, the same cp again, works.
func TestCopyAgainAfterInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			g, s := newGate(t, services[0])
			data := noise(73, 5<<20)
			source := file(t, "source", data)
			m := mountOn(t, s)
			name := s.cleanName(t, "interrupted.img")
			cp := uploading(t, g, m, source, name)
			if err := cp.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cp.Wait(); err == nil {
				t.Errorf("cp succeeded in spite of %v", sig)
			}
			m.until("the draft to be kept", func() bool { return len(m.drafts()) == 1 })
			if left := s.images(t, name); len(left) != 0 {
				t.Errorf("after %v the service has %v", sig, left)
			}
			g.letGo()
			run(t, "cp", source, m.path(name))
			holds(t, s.one(t, name), data)
		})
	}
}
