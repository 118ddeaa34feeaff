package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// kill ends a daemon as a power failure of its process does, and takes away the
// mount that it leaves.
func (m *mount) kill() {
	m.t.Helper()
	if err := m.daemon.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	// First: the kernel may keep what is left of the daemon until then.
	run(m.t, binary, "unmount", "--force", m.dir)
	<-m.ended
}

// killUploading kills the daemon while it uploads, and returns when the writer has
// got its error.
func (m *mount) killUploading(cp *exec.Cmd) {
	m.t.Helper()
	m.until("an upload to be under way, and the journal to say so", func() bool {
		return strings.Contains(run(m.t, binary, "status", m.dir), "upload    ") && slices.ContainsFunc(m.drafts(), func(path string) bool {
			text, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(text), `"state":"c`) // committing, created
		})
	})
	m.kill()
	if err := cp.Wait(); err == nil {
		m.t.Error("the writer was not told of the kill")
	}
}

func copying(m *mount, from, to string) *exec.Cmd {
	m.t.Helper()
	cp := exec.Command("cp", from, to)
	if err := cp.Start(); err != nil {
		m.t.Fatal(err)
	}
	return cp
}

// A close that had begun when the daemon was killed is committed by the next mount on
// the same staging directory: one image, with all its bytes.
func TestRecoverClose(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		data := noise(73, 96<<20)
		source := file(t, "source", data)
		m := mountOn(t, s)
		name := s.cleanName(t, "recovered.img")
		m.killUploading(copying(m, source, m.path(name)))

		again := mountOn(t, s, "--staging-dir", m.staging)
		again.until("the draft to be committed", func() bool { return len(m.drafts()) == 0 })
		holds(t, s.one(t, name), data)
		if !strings.Contains(again.log.String(), name+" (96 MiB) of an earlier run was being committed") {
			t.Errorf("the mount did not say so:\n%s", again.log.tail(2000))
		}
		run(t, "cmp", source, again.path(name))
	})
}

// The image that was edited when the daemon was killed is there before and after: the
// edit is committed over it, with what it had.
func TestRecoverEdit(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		data := noise(74, 64<<20)
		m := mountOn(t, s)
		name := s.cleanName(t, "edited.img")
		old := s.upload(t, image.New{Name: name, Tags: []string{"mine"}, Properties: map[string]string{"color": "red"}}, data)
		patch := []byte("written over it")
		dd := exec.Command("dd", "of="+m.path(name), "bs=1M", "seek=3", "conv=notrunc", "status=none")
		dd.Stdin = bytes.NewReader(patch)
		if err := dd.Start(); err != nil {
			t.Fatal(err)
		}
		m.killUploading(dd)
		if now, err := s.api.Get(t.Context(), old.ID); err != nil || now.Name != name || now.Hidden {
			t.Errorf("the original is %+v, %v", now, err)
		}
		copy(data[3<<20:], patch)

		again := mountOn(t, s, "--staging-dir", m.staging)
		again.until("the draft to be committed", func() bool { return len(m.drafts()) == 0 })
		got := s.one(t, name)
		holds(t, got, data)
		if got.ID == old.ID || got.Properties["color"] != "red" || strings.Join(got.Tags, " ") != "mine" || got.DiskFormat != "raw" {
			t.Errorf("the image is %+v", got)
		}
	})
}

// A staged is what `imagefs staged list --json` says of a draft.
type staged struct {
	ID        string `json:"draft"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Uncertain bool   `json:"uncertain"`
}

// stagedDrafts lists the drafts of the mount's staging directory by their names.
func (m *mount) stagedDrafts() map[string]staged {
	m.t.Helper()
	var all []staged
	if err := json.Unmarshal([]byte(run(m.t, binary, "staged", "list", "--json", "--staging-dir", m.staging)), &all); err != nil {
		m.t.Fatal(err)
	}
	found := map[string]staged{}
	for _, d := range all {
		found[d.Name] = d
	}
	return found
}

// What was still open when the daemon was killed is kept for the user, who uploads it,
// looks at it or drops it, with the mount up.
func TestKilledWhileOpen(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		wanted, other := s.cleanName(t, "wanted.img"), s.cleanName(t, "other.img")
		var files []*os.File
		for _, name := range []string{wanted, other} {
			f, err := os.Create(m.path(name))
			if err == nil {
				_, err = f.WriteString("not closed " + name)
			}
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		if d := m.stagedDrafts()[wanted]; d.State != "in use" {
			t.Errorf("while it is written: %+v", d)
		}
		if failed := fails(t, binary, "staged", "discard", "--yes", "--staging-dir", m.staging, m.stagedDrafts()[wanted].ID); failed.code != exitDraftBusy {
			t.Errorf("discarding what is written: %d, %s", failed.code, failed.stderr)
		}
		m.kill()
		for _, f := range files {
			if err := f.Close(); err == nil {
				t.Error("the close succeeded")
			}
		}
		again := mountOn(t, s, "--staging-dir", m.staging, "--list-ttl", "1s")
		again.until("the mount to say so", func() bool {
			return strings.Contains(again.log.String(), wanted+" (21 B) of an earlier run was never closed, and is kept")
		})
		if status := run(t, binary, "status", again.dir); !strings.Contains(status, wanted+": open, 21 B") {
			t.Errorf("status:\n%s", status)
		}
		drafts := m.stagedDrafts()
		if len(drafts) != 2 || drafts[wanted].State != "open" || drafts[wanted].Uncertain || len(s.images(t, wanted)) != 0 {
			t.Fatalf("drafts %+v, images %v", drafts, s.images(t, wanted))
		}

		out := filepath.Join(t.TempDir(), "exported")
		run(t, binary, "staged", "export", "--staging-dir", m.staging, drafts[other].ID[:8], out)
		if got, err := os.ReadFile(out); err != nil || string(got) != "not closed "+other {
			t.Errorf("exported %q, %v", got, err)
		}
		if failed := fails(t, binary, "staged", "export", "--staging-dir", m.staging, drafts[other].ID, out); failed.code != exitFileExists {
			t.Errorf("exporting over a file: %d, %s", failed.code, failed.stderr)
		}
		run(t, binary, "staged", "retry", "--staging-dir", m.staging, drafts[wanted].ID)
		holds(t, s.one(t, wanted), []byte("not closed "+wanted))
		again.until("the mount to show it", func() bool {
			got, err := os.ReadFile(again.path(wanted))
			return err == nil && string(got) == "not closed "+wanted
		})
		run(t, binary, "staged", "discard", "--yes", "--staging-dir", m.staging, drafts[other].ID)
		if left := m.drafts(); len(left) != 0 || len(s.images(t, other)) != 0 {
			t.Errorf("drafts %v, images %v", left, s.images(t, other))
		}
	})
}

// A file whose close was interrupted is kept, and uploaded when it is told to once
// the service takes it; a writer that was killed leaves one that goes after its time.
func TestStagedRetryAndExpiry(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(77, 5<<20)
	source := file(t, "source", data)
	m := mountOn(t, s, "--abandoned-ttl", "1s")
	name := s.cleanName(t, "refused.img")
	sh := exec.Command("sh", "-c", "exec > '"+m.path("killed.img")+"'; echo half; kill -KILL $$")
	if err := sh.Run(); err == nil {
		t.Error("the writer was not killed")
	}
	m.until("its draft to be abandoned", func() bool { return m.stagedDrafts()["killed.img"].State == "abandoned" })
	cp := uploading(t, g, m, source, name)
	signalTo(t, cp, syscall.SIGINT)
	_ = cp.Wait() // it was told to stop
	m.until("the draft to be kept", func() bool { return len(m.drafts()) == 2 })
	m.unmount()
	g.letGo()
	if failed := fails(t, binary, "staged", "retry", "--staging-dir", m.staging, m.stagedDrafts()[name].ID, "--endpoint", "http://127.0.0.1:1"); failed.code != exitUnreachable {
		t.Errorf("without a service: %d, %s", failed.code, failed.stderr)
	}
	run(t, binary, append([]string{"staged", "retry", "--staging-dir", m.staging, m.stagedDrafts()[name].ID}, s.args...)...)
	holds(t, s.one(t, name), data)

	again := mountOn(t, s, "--staging-dir", m.staging, "--abandoned-ttl", "1s")
	again.until("the abandoned draft to go", func() bool { return len(m.drafts()) == 0 })
	if !strings.Contains(again.log.String(), "killed.img") {
		t.Errorf("the log does not say so:\n%s", again.log.tail(2000))
	}
}

func signalTo(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// An upload of an earlier run does not get on: the end of the mount gives it up, and
// the next one goes on.
func TestRecoverWhenServiceIsBack(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(75, 5<<20)
	source := file(t, "source", data)
	m := mountOn(t, s)
	name := s.cleanName(t, "later.img")
	cp := uploading(t, g, m, source, name)
	m.kill()
	g.cutOff()
	if err := cp.Wait(); err == nil {
		t.Error("cp succeeded")
	}
	// An upload that does not get on is given up at the end of the mount.
	second := mountOn(t, s, "--staging-dir", m.staging, "--stop-timeout", "1s")
	second.until("an upload to be under way", func() bool { return g.waiting() == 1 })
	if failed := fails(t, binary, "unmount", second.dir); failed.code != exitLeft || !strings.Contains(failed.stderr, `"`+name+`" was not uploaded`) {
		t.Errorf("unmount: exit code %d, %q", failed.code, failed.stderr)
	}
	<-second.ended
	if len(m.drafts()) != 1 {
		t.Errorf("drafts %v, want one", m.drafts())
	}
	g.letGo()
	third := mountOn(t, s, "--staging-dir", m.staging)
	third.until("the draft to be committed", func() bool { return len(m.drafts()) == 0 })
	holds(t, s.one(t, name), data)
}

// Two mounts on one staging directory do not take the same draft.
func TestRecoverOnce(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(76, 5<<20)
	source := file(t, "source", data)
	m := mountOn(t, s)
	name := s.cleanName(t, "once.img")
	cp := uploading(t, g, m, source, name)
	m.kill()
	g.cutOff()
	if err := cp.Wait(); err == nil {
		t.Error("cp succeeded")
	}
	first := mountOn(t, s, "--staging-dir", m.staging)
	first.until("an upload to be under way", func() bool { return g.waiting() == 1 })
	second := mountOn(t, s, "--staging-dir", m.staging)
	if n := len(second.drafts()); n != 0 || strings.Contains(second.log.String(), "earlier run") {
		t.Errorf("the second mount takes it, too:\n%s", second.log.tail(2000))
	}
	g.letGo()
	first.until("the draft to be committed", func() bool { return len(m.drafts()) == 0 })
	holds(t, s.one(t, name), data)
}
