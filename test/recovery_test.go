package test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
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
	<-m.ended
	run(m.t, binary, "unmount", "--force", m.dir)
}

// killUploading kills the daemon while it uploads, and returns when the writer has
// got its error.
func (m *mount) killUploading(cp *exec.Cmd) {
	m.t.Helper()
	m.until("an upload to be under way", func() bool {
		return strings.Contains(run(m.t, binary, "status", m.dir), "upload    ")
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

// What was still open when the daemon was killed is kept for the user.
func TestKilledWhileOpen(t *testing.T) {
	s := services[0]
	m := mountOn(t, s)
	name := s.cleanName(t, "open.img")
	f, err := os.Create(m.path(name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("not closed"); err != nil {
		t.Fatal(err)
	}
	m.kill()
	if err := f.Close(); err == nil {
		t.Error("the close succeeded")
	}
	again := mountOn(t, s, "--staging-dir", m.staging)
	again.until("the mount to say so", func() bool {
		return strings.Contains(again.log.String(), name+" (10 B) of an earlier run was never closed, and is kept")
	})
	if status := run(t, binary, "status", again.dir); !strings.Contains(status, name+": open, 10 B") {
		t.Errorf("status:\n%s", status)
	}
	if len(m.drafts()) != 1 || len(s.images(t, name)) != 0 {
		t.Errorf("drafts %v, images %v", m.drafts(), s.images(t, name))
	}
}

// The service is away when the mount finds what an earlier one left: it is tried
// again until it is back, and the end of the mount does not wait for it.
func TestRecoverWhenServiceIsBack(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(75, 5<<20)
	source := file(t, "source", data)
	m := mountOn(t, s)
	name := s.cleanName(t, "later.img")
	cp := uploading(t, g, m, source, name)
	m.kill()
	if err := cp.Wait(); err == nil {
		t.Error("cp succeeded")
	}
	// An upload that does not get on is given up at the end of the mount.
	second := mountOn(t, s, "--staging-dir", m.staging)
	second.until("an upload to be under way", func() bool { return g.waiting() == 1 })
	second.unmount()
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
