package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/imagefs/imagefs/metrics"
)

// patience bounds every wait of the tests; nothing is expected to take so long.
const patience = time.Minute

// A mount is a mounted directory and the daemon behind it.
type mount struct {
	t       *testing.T
	service service
	dir     string
	staging string
	cache   string // the cache directory; gone with the test
	log     *lockedBuffer
	daemon  *exec.Cmd
	ended   chan struct{}
	forced  bool // it is ended without waiting, which is no success
}

// mountOn mounts a service in the foreground of a child process. At the end of the
// test it is unmounted, and the daemon must end well and leave nothing behind.
func mountOn(t *testing.T, s service, args ...string) *mount {
	t.Helper()
	m := &mount{t: t, service: s, dir: t.TempDir(), staging: filepath.Join(t.TempDir(), "staging"), cache: filepath.Join(t.TempDir(), "cache"), log: &lockedBuffer{}, ended: make(chan struct{})}
	args = slices.Concat([]string{"mount", "--foreground", "--log-level", "debug", "--staging-dir", m.staging, "--cache-dir", m.cache}, s.args, args, []string{m.dir})
	m.daemon = exec.Command(binary, args...)
	m.daemon.Stdout, m.daemon.Stderr = m.log, m.log
	if err := m.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	var status error
	go func() {
		status = m.daemon.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		if mounted(t, m.dir) {
			if out, err := exec.Command(binary, "unmount", m.dir).CombinedOutput(); err != nil {
				t.Errorf("unmount: %v: %s", err, out)
				kill := exec.Command(binary, "unmount", "--force", m.dir)
				if out, err := kill.CombinedOutput(); err != nil {
					t.Errorf("unmount --force: %v: %s", err, out)
				}
			}
		}
		select {
		case <-m.ended:
			if status != nil && !m.killed() && !m.forced {
				t.Errorf("the daemon ended with %v", status)
			}
		case <-time.After(patience):
			t.Error("the daemon did not end after the unmount: it logs what it was about")
			if err := m.daemon.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Error(err)
			}
			<-m.ended
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", m.log.end(8000))
		}
	})
	m.until("the mount answers", func() bool {
		select {
		case <-m.ended:
			t.Fatalf("the daemon ended before it mounted:\n%s", m.log.tail(4000))
		default:
		}
		return mounted(t, m.dir)
	})
	return m
}

func (m *mount) killed() bool {
	return m.daemon.ProcessState != nil && strings.Contains(m.daemon.ProcessState.String(), "signal: killed")
}

func (m *mount) path(entry string) string { return filepath.Join(m.dir, entry) }

// until waits for a condition that is on its way.
func (m *mount) until(what string, ok func() bool) {
	m.t.Helper()
	until(m.t, what, ok)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func mounted(t *testing.T, dir string) bool {
	t.Helper()
	infos, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(infos) > 0
}

// cleanLog removes with the test what the daemons of a mountpoint have logged: root's
// logs are in one place, which no setting moves.
func cleanLog(t *testing.T, mountpoint string) {
	t.Helper()
	t.Cleanup(func() {
		name := strings.ReplaceAll(strings.Trim(mountpoint, "/"), "/", "-")
		logs, err := filepath.Glob("/var/log/imagefs/" + name + "-????????.log*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range logs {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	})
}

// unmount unmounts and waits for the daemon.
func (m *mount) unmount() {
	m.t.Helper()
	run(m.t, binary, "unmount", m.dir)
	<-m.ended
}

// drafts are the journals in the mount's staging directory.
func (m *mount) drafts() []string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.staging, "*", "*.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// kept waits for the draft of a name to be listed as one that is kept, and returns it.
func (m *mount) kept(name string) (found metrics.Draft) {
	m.t.Helper()
	m.until("the draft of "+name+" to be listed", func() bool {
		for _, d := range m.snapshot().Drafts {
			if d.Name == name {
				found = d
				return true
			}
		}
		return false
	})
	return found
}

// settled waits until no draft is left in staging.
func (m *mount) settled() {
	m.t.Helper()
	defer func() {
		for _, journal := range m.drafts() { // which it waits for in vain
			if text, err := os.ReadFile(journal); err == nil {
				m.t.Logf("%s: %s", filepath.Base(journal), text)
			}
		}
	}()
	m.until("staging to be empty", func() bool { return len(m.drafts()) == 0 })
}

// lockedBuffer is a log that is written and read at once.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// end is as tail, and more where the daemon was made to tell of its goroutines.
func (b *lockedBuffer) end(n int) string {
	s := b.String()
	if at := strings.Index(s, "SIGQUIT"); at >= 0 {
		return s[max(0, at-n):]
	}
	return s[max(0, len(s)-n):]
}

func (b *lockedBuffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}
