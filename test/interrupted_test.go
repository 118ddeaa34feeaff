package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
		return len(m.snapshot().Uploads) == 1
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

// Programs that are ended while they write: what was there before stays, nothing
// half done takes its place, and the draft is listed as abandoned. What they closed
// in good order before stands.
func TestKilledPrograms(t *testing.T) {
	disk := file(t, "disk.raw", noise(56, 24<<20))
	for _, c := range []struct {
		what, script string // with $0 a pipe without an end, $1 a local disk and $2 the file
		signal       syscall.Signal
		there        string // format of the image that is there before, or none
		left         int    // images of the name in the end
	}{
		{"cp", `exec cp "$0" "$2"`, syscall.SIGINT, "", 0},
		{"cp over", `exec cp "$0" "$2"`, syscall.SIGINT, "raw", 1},
		{"dd in place", `exec dd bs=64k conv=notrunc status=none if="$0" of="$2"`, syscall.SIGKILL, "raw", 1},
		{"convert over", `exec qemu-img convert -n -r 1M -O raw "$1" "$2"`, syscall.SIGKILL, "raw", 1},
		{"convert into", `exec qemu-img convert -n -r 1M -O qcow2 "$1" "$2"`, syscall.SIGKILL, "qcow2", 1},
		// It has closed the header before it writes the data.
		{"convert", `exec qemu-img convert -r 1M -O qcow2 "$1" "$2"`, syscall.SIGKILL, "", 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := services[0]
			m := mountOn(t, s)
			name := s.cleanName(t, "killed.img")
			if c.there != "" {
				local := filepath.Join(t.TempDir(), name)
				run(t, "qemu-img", "create", "-q", "-f", c.there, local, "24M")
				run(t, "cp", local, m.path(name))
				m.settled()
			}
			before := s.images(t, name)
			cmd := exec.Command("sh", "-c", c.script, endless(t, noise(58, 50000)), disk, m.path(name))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// More than the header that qemu-img writes first.
			most := int64(40000)
			if c.what == "convert" {
				most = 1 << 20
			}
			m.until("a draft with data", func() bool {
				found, err := filepath.Glob(filepath.Join(m.staging, "*", "*.data"))
				return err == nil && len(found) == 1 && m.stored() > most
			})
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != c.signal {
				t.Fatalf("it ended with %v", err)
			}
			m.until("the draft to be listed", func() bool {
				return strings.Contains(run(t, binary, "status", m.dir), "abandoned") && len(m.drafts()) == 1
			})
			after := s.images(t, name)
			if len(after) != c.left {
				t.Fatalf("%d images are left: %+v", len(after), after)
			}
			if c.left == 0 {
				m.until("the entry to go", func() bool { _, err := os.Lstat(m.path(name)); return os.IsNotExist(err) })
				return
			}
			if c.there != "" && (after[0].ID != before[0].ID || after[0].HashValue != before[0].HashValue) {
				t.Errorf("image %s became %s", before[0].ID, after[0].ID)
			}
			if c.there == "" && after[0].Size > 1<<20 {
				t.Errorf("an image of %d bytes was published", after[0].Size)
			}
			out := filepath.Join(t.TempDir(), "out")
			m.until("the entry to be the image again", func() bool {
				run(t, "cp", m.path(name), out)
				got, err := os.ReadFile(out)
				return err == nil && int64(len(got)) == after[0].Size
			})
			got, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			holds(t, after[0], got)
			if after[0].DiskFormat == "qcow2" {
				run(t, "qemu-img", "check", "-q", m.path(name))
			}
		})
	}
}

// endless makes a pipe that holds some bytes and has no end.
func endless(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // a writer that stays
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := pipe.Write(data); err != nil { // a pipe takes 64 KiB
		t.Fatal(err)
	}
	return path
}

// An rsync that is interrupted keeps what it has, as it does on a local disk, and
// goes on from there the next time.
func TestRsyncPartial(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "partial.img")
		data := noise(59, 8<<20)
		source := file(t, name, data)
		before := s.records(t)
		rsync := exec.Command("rsync", "-a", "--partial", "--bwlimit=2M", source, m.dir+"/")
		if err := rsync.Start(); err != nil {
			t.Fatal(err)
		}
		m.until("some of the file to be there", func() bool {
			found, err := filepath.Glob(filepath.Join(m.staging, "*", "*.data"))
			if err != nil || len(found) != 1 {
				return false
			}
			info, err := os.Stat(found[0])
			return err == nil && info.Size() > 1<<20
		})
		if err := rsync.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := rsync.Wait(); err == nil {
			t.Fatal("the interrupted rsync succeeded")
		}
		// Its child that writes the file outlives it by a moment.
		m.until("the part to be there under the file's name", func() bool { return len(s.images(t, name)) == 1 })
		m.settled()
		if got := s.records(t).names(before); len(got) != 1 {
			t.Fatalf("the interrupted rsync left the images %v", got)
		}
		part := s.one(t, name)
		if part.Size == 0 || part.Size >= int64(len(data)) {
			t.Errorf("it left %d bytes", part.Size)
		}
		holds(t, part, data[:part.Size])
		out := run(t, "rsync", "-a", "--partial", "--no-whole-file", "--stats", source, m.dir+"/")
		if strings.Contains(out, "Matched data: 0 bytes") {
			t.Errorf("it did not go on where it was: %s", out)
		}
		m.settled()
		holds(t, s.one(t, name), data)
		if got := s.records(t).names(before); len(got) != 1 {
			t.Errorf("there are the images %v", got)
		}
	})
}
