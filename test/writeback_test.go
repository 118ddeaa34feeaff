package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
)

// status asks the daemon.
func (m *mount) status() metrics.Snapshot {
	m.t.Helper()
	var s metrics.Snapshot
	if err := json.Unmarshal([]byte(run(m.t, binary, "status", "--json", m.dir)), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// contains compares a file of the mount.
func (m *mount) contains(entry string, data []byte) {
	m.t.Helper()
	if got, err := os.ReadFile(m.path(entry)); err != nil || !bytes.Equal(got, data) {
		m.t.Errorf("%s has %d bytes, %v; want %d", entry, len(got), err, len(data))
	}
}

// While the service is away, files are closed, read, renamed and removed; when it is
// back, what is there becomes images, with what was set meanwhile.
func TestWritebackOutage(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(110, 3<<20)
	name, moved, gone := s.cleanName(t, "behind.img"), s.cleanName(t, "behind-moved.img"), s.cleanName(t, "behind-gone.img")
	m := mountOn(t, s, "--writeback")
	var open []*os.File
	for _, entry := range []string{name, moved, gone} {
		f, err := os.Create(m.path(entry))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	g.away()
	for _, f := range open {
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	m.until("tries to fail", func() bool {
		w := m.status().Waiting
		return len(w) == 3 && w[0].Error != "" && w[0].Tries > 1 && w[0].Size == int64(len(data))
	})
	m.contains(name, data)
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(m.path(name), at, at); err != nil {
		t.Error(err)
	}
	run(t, "mv", m.path(moved), m.path(name))
	run(t, "rm", m.path(gone))
	if text := run(t, binary, "status", m.dir); !strings.Contains(text, "waiting   "+name) {
		t.Errorf("status says: %s", text)
	}

	g.back()
	m.settled()
	m.contains(name, data)
	holds(t, s.one(t, name), data)
	for _, entry := range []string{moved, gone} {
		if left := s.images(t, entry); len(left) != 0 {
			t.Errorf("the service has %v", left)
		}
	}
	if n := strings.Count(m.log.String(), "waits for its upload"); n < 3 || n > 6 {
		t.Errorf("%d lines of the log tell of the outage of three files", n)
	}
}

// What is set on a file while it waits comes with its image.
func TestWritebackAttributes(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(116, 3<<20)
	name, moved := s.cleanName(t, "set.img"), s.cleanName(t, "set-moved.img")
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	m.until("its upload to be under way", func() bool { return g.waiting() == 1 })
	if u := m.status().Uploads; len(u) != 1 || u[0].Name != name || u[0].Phase != "uploading" || u[0].Size != int64(len(data)) {
		t.Errorf("status shows the uploads %+v", u)
	}
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := errors.Join(os.Chtimes(m.path(name), at, at), os.Chmod(m.path(name), 0o600), os.Rename(m.path(name), m.path(moved))); err != nil {
		t.Error(err)
	}
	g.letGo()
	m.settled()
	holds(t, s.one(t, moved), data)
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
	if fi, err := os.Stat(m.path(moved)); err != nil || !fi.ModTime().Equal(at) || fi.Mode().Perm() != 0o600 {
		t.Errorf("stat %v, %v", fi, err)
	}
}

// Two closes in quick succession make one image, of the second, and leave nothing.
func TestWritebackTwoCloses(t *testing.T) {
	g, s := newGate(t, services[0])
	first, second := noise(111, 3<<20), noise(112, 2<<20)
	name := s.cleanName(t, "twice.img")
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), first, 0o644); err != nil {
		t.Fatal(err)
	}
	m.until("its upload to be under way", func() bool { return g.waiting() == 1 })
	if err := os.WriteFile(m.path(name), second, 0o644); err != nil {
		t.Fatal(err)
	}
	g.letGo()
	m.contains(name, second)
	m.settled()
	m.contains(name, second)
	holds(t, s.one(t, name), second)
}

// A file that is removed while its upload is under way becomes no image.
func TestWritebackRemove(t *testing.T) {
	g, s := newGate(t, services[0])
	name := s.cleanName(t, "removed.img")
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), noise(113, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	m.until("its upload to be under way", func() bool { return g.waiting() == 1 })
	run(t, "rm", m.path(name))
	m.settled()
	g.letGo()
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
}

// Where the service is gone before what was made of a removed file could be removed,
// the next mount does that.
func TestWritebackRemoveLater(t *testing.T) {
	g, s := newGate(t, services[0])
	name := s.cleanName(t, "removed-later.img")
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), noise(119, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	m.until("its upload to be under way", func() bool { return g.waiting() == 1 })
	g.away()
	run(t, "rm", m.path(name))
	run(t, binary, "unmount", m.dir)
	if len(m.drafts()) != 1 || len(s.images(t, name)) != 1 {
		t.Fatalf("drafts %v, images %v", m.drafts(), s.images(t, name))
	}
	g.letGo()
	g.back()
	again := mountOn(t, s, "--staging-dir", m.staging)
	again.until("it to be removed", func() bool { return len(m.drafts()) == 0 })
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
}

// unmount waits for what waits, and says for what.
func TestWritebackUnmount(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(114, 3<<20)
	name := s.cleanName(t, "waited.img")
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	unmount := exec.Command(binary, "unmount", m.dir)
	unmount.Stderr = &said
	if err := unmount.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("unmount to say what it waits for", func() bool { return strings.Contains(said.String(), name) })
	g.letGo()
	if err := unmount.Wait(); err != nil {
		t.Errorf("unmount: %v, %s", err, said.String())
	}
	holds(t, s.one(t, name), data)
	if left := m.drafts(); len(left) != 0 {
		t.Errorf("%v is left in staging", left)
	}
}

// While the service is away neither unmount nor a signal waits for ever: the drafts
// stay for the next mount, which is told, and nothing half made stays at the service.
func TestWritebackEndBounded(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, g *gate, m *mount, name string){
		"unmount": func(t *testing.T, g *gate, m *mount, name string) {
			g.away()
			defer g.back()
			if failed := fails(t, binary, "unmount", m.dir); failed.code != exitLeft || !strings.Contains(failed.stderr, `"`+name+`" was not uploaded`) {
				t.Errorf("unmount: exit code %d, %q", failed.code, failed.stderr)
			}
		},
		"SIGTERM": func(t *testing.T, g *gate, m *mount, _ string) {
			m.until("an upload to be under way", func() bool { return g.waiting() == 1 })
			signal(t, m, syscall.SIGTERM)
			m.until("the daemon to end", m.hasEnded)
			g.letGo()
		},
	} {
		t.Run(what, func(t *testing.T) {
			g, s := newGate(t, services[0])
			data := noise(115, 3<<20)
			name := s.cleanName(t, "bounded.img")
			m := mountOn(t, s, "--writeback", "--stop-timeout", "2s")
			g.holdUploads()
			if err := os.WriteFile(m.path(name), data, 0o644); err != nil {
				t.Fatal(err)
			}
			end(t, g, m, name)
			kept := m.drafts()
			if len(kept) != 1 {
				t.Fatalf("drafts %v, want one", kept)
			}
			journal, err := os.ReadFile(kept[0])
			if err != nil || !strings.Contains(string(journal), `"accepted":true`) {
				t.Errorf("the journal does not say that the upload is owed: %s, %v", journal, err)
			}
			if log := m.log.String(); !strings.Contains(log, "the next mount goes on") {
				t.Error("the log does not say what is next")
			}
			for _, img := range s.images(t, name) { // one that could not be removed any more is journaled
				if what == "SIGTERM" || !img.Hidden || !strings.Contains(string(journal), `"image":"`+img.ID+`"`) {
					t.Errorf("the service has %+v", img)
				}
			}
		})
	}
}

// What was closed before the daemon was killed shows again at the next mount, with its
// bytes, also while the service does not take them; then its image is there once.
func TestWritebackKilled(t *testing.T) {
	g, s := newGate(t, services[0])
	data, base := noise(117, 3<<20), noise(118, 2<<20)
	name, edited := s.cleanName(t, "killed.img"), s.cleanName(t, "killed-edited.img")
	old := s.upload(t, image.New{Name: edited}, base)
	m := mountOn(t, s, "--writeback")
	g.holdUploads()
	if err := os.WriteFile(m.path(name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	patch := exec.Command("dd", "of="+m.path(edited), "bs=1k", "seek=100", "conv=notrunc", "status=none")
	patch.Stdin = bytes.NewReader(data[:5000])
	if out, err := patch.CombinedOutput(); err != nil {
		t.Fatalf("dd: %v, %s", err, out)
	}
	copy(base[100<<10:], data[:5000])
	m.until("their uploads to be under way", func() bool { return g.waiting() == 2 })
	m.kill()

	again := mountOn(t, s, "--staging-dir", m.staging)
	again.contains(name, data)
	again.contains(edited, base)
	if w := again.status().Waiting; len(w) != 2 {
		t.Errorf("status says %+v", w)
	}
	g.letGo()
	again.until("staging to be empty", func() bool { return len(m.drafts()) == 0 })
	holds(t, s.one(t, name), data)
	now := s.one(t, edited)
	holds(t, now, base)
	if now.ID == old.ID {
		t.Error("the edited image has its old id")
	}
	again.contains(name, data)
	again.contains(edited, base)
}
