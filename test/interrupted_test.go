package test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Ctrl-C, or any signal that ends a writer, publishes nothing: the draft is kept.
func TestKilledWriter(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
			m := mountOn(t, s)
			name := s.cleanName(t, "killed.img")
			// cat waits for more of the pipe, so it is killed in the middle for sure.
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cat := exec.Command("sh", "-c", `exec cat > "$0"`, m.path(name))
			cat.Stdin = r
			if err := cat.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(noise(54, 60000)); err != nil {
				t.Fatal(err)
			}
			m.until("the draft to have bytes", func() bool {
				info, err := os.Stat(m.path(name))
				return err == nil && info.Size() > 0
			})
			if err := cat.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cat.Wait(); err == nil {
				t.Errorf("%v did not end the writer", sig)
			}
			m.until("the draft to be kept", func() bool {
				return len(m.drafts()) == 1 && strings.Contains(m.log.String(), "its writer was killed")
			})
			if left := s.images(t, name); len(left) != 0 {
				t.Errorf("after %v there is %+v", sig, left)
			}
			if err := errors.Join(r.Close(), w.Close()); err != nil {
				t.Error(err)
			}
			m.until("the entry to go", func() bool { _, err := os.Lstat(m.path(name)); return os.IsNotExist(err) })
			m.unmount()
		}
	})
}

// Ctrl-C of a cp that waits for the upload in its close frees it, leaves no image
// and keeps the draft.
func TestInterruptedUpload(t *testing.T) {
	s := embedded(t, "--latency", "2s")
	m := mountOn(t, s)
	name := "interrupted.img"
	source := file(t, name, noise(55, 1<<20))
	cp := exec.Command("cp", source, m.path(name))
	if err := cp.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("the upload to begin", func() bool {
		return strings.Contains(run(t, binary, "status", m.dir), "upload    "+name)
	})
	if err := cp.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cp.Wait(); err == nil {
		t.Error("the interrupted cp succeeded")
	}
	m.until("the draft to be kept", func() bool {
		return len(m.drafts()) == 1 && strings.Contains(m.log.String(), "kept in staging")
	})
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the interrupted cp left %v", left)
	}
	run(t, "cmp", source, strings.TrimSuffix(m.drafts()[0], ".json")+".data")
}
