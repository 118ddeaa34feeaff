package test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Editing an image in place keeps only what is written on this machine, however big
// the image is; the commit uploads the merged bytes.
func TestEditKeepsOnlyWhatIsWritten(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "inplace.img")
		want := noise(80, 16<<20)
		old := s.upload(t, image.New{Name: name}, want)
		f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, off := range []int64{3<<20 + 17, 11 << 20, int64(len(want)) - 10} {
			p := noise(uint64(81+i), 5000)
			if _, err := f.WriteAt(p, off); err != nil {
				t.Fatal(err)
			}
			want = append(want[:off], append(p, want[min(off+5000, int64(len(want))):]...)...)
		}
		cut := int64(len(want)) - 100
		if err := f.Truncate(cut); err != nil {
			t.Fatal(err)
		}
		want = want[:cut]
		if got := m.stored(); got == 0 || got > 1<<20 {
			t.Errorf("15000 written bytes of a 16 MiB image take %d bytes of the disk", got)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		m.settled()
		img := s.one(t, name)
		holds(t, img, want)
		if img.ID == old.ID || img.DiskFormat != old.DiskFormat {
			t.Errorf("it became %+v", img)
		}
	})
}

// stored is what the drafts in staging take of the disk, in bytes.
func (m *mount) stored() int64 {
	m.t.Helper()
	drafts, err := filepath.Glob(filepath.Join(m.staging, "*", "*.data"))
	if err != nil {
		m.t.Fatal(err)
	}
	var sum int64
	for _, path := range drafts {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil && !errors.Is(err, os.ErrNotExist) {
			m.t.Fatal(err)
		}
		sum += st.Blocks * 512 // the unit of st_blocks, by stat(2)
	}
	return sum
}

// A disk is attached to the kernel, gets a filesystem and files, and is detached:
// what is then in the service is that disk.
func TestLoopDevice(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "loop.img")
		old := s.upload(t, image.New{Name: name}, make([]byte, 32<<20))
		before := s.records(t)
		data := noise(85, 3<<20)
		source, on := file(t, "file", data), t.TempDir()

		loop := attach(t, m.path(name))
		run(t, "mkfs.ext4", "-q", loop)
		run(t, "mount", loop, on)
		run(t, "sh", "-ec", `cp "$0" "$1/file"; rm -rf "$1/lost+found"; sync "$1/file"`, source, on)
		if got := m.stored(); got == 0 || got > 16<<20 {
			t.Errorf("3 MiB of files on a 32 MiB disk take %d bytes of the disk", got)
		}
		run(t, "umount", on)
		run(t, "losetup", "-d", loop)

		m.settled()
		img := s.one(t, name)
		if img.ID == old.ID || img.Size != 32<<20 || img.DiskFormat != "raw" || img.Status != image.StatusActive {
			t.Errorf("it became %+v", img)
		}
		if left := s.records(t).names(before); len(left) != 1 {
			t.Errorf("there are the new images %v", left)
		}
		// Another mount reads the bytes that the service has.
		again := mountOn(t, s)
		run(t, "e2fsck", "-fn", again.path(name))
		out := filepath.Join(t.TempDir(), "out")
		run(t, "debugfs", "-R", "dump /file "+out, again.path(name))
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the file on the disk has %d bytes, %v", len(got), err)
		}
		loop = attach(t, again.path(name), "--read-only")
		run(t, "mount", "-o", "ro", loop, on)
		run(t, "cmp", source, filepath.Join(on, "file"))
		run(t, "umount", on)
		run(t, "losetup", "-d", loop)
		if now := s.one(t, name); now.ID != img.ID {
			t.Errorf("reading made image %s of %s", now.ID, img.ID)
		}
	})
}

// attach makes a loop device of a file, which does not outlive the test.
func attach(t *testing.T, path string, args ...string) string {
	t.Helper()
	loop := strings.TrimSpace(run(t, "losetup", append(args, "--show", "--find", path)...))
	t.Cleanup(func() {
		left, err := exec.Command("losetup", "--noheadings", "--list", "--output", "NAME", "--associated", path).Output()
		if err == nil && len(bytes.TrimSpace(left)) == 0 {
			return
		}
		for _, args := range [][]string{{"umount", loop}, {"losetup", "-d", loop}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Logf("%v: %v: %s", args, err, out)
			}
		}
	})
	return loop
}

// A guest's disk is written by a server of block devices, as a virtual machine does
// it: many writes and flushes through one descriptor, and one image in the end.
func TestBlockDeviceServer(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "served.qcow2")
		run(t, "qemu-img", "create", "-q", "-f", "qcow2", m.path(name), "64M")
		m.settled()
		before := s.records(t)
		socket := filepath.Join(t.TempDir(), "nbd")
		server := exec.Command("qemu-nbd", "--socket", socket, "--format", "qcow2", m.path(name))
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		m.until("qemu-nbd to listen", func() bool { _, err := os.Stat(socket); return err == nil })
		run(t, "qemu-io", "-f", "raw", "-c", "write -q -P 1 0 1M", "-c", "flush", "-c", "write -q -P 2 40M 64k", "-c", "flush",
			"-c", "write -q -z 512k 64k", "-c", "discard 0 64k", "nbd+unix:///?socket="+socket)
		if err := server.Wait(); err != nil { // it ends with its client
			t.Fatal(err)
		}
		m.settled()
		if left := s.records(t).names(before); len(left) != 1 {
			t.Errorf("there are the new images %v", left)
		}
		if img := s.one(t, name); img.DiskFormat != "qcow2" || img.Status != image.StatusActive {
			t.Errorf("it became %+v", img)
		}
		again := mountOn(t, s)
		run(t, "qemu-img", "check", "-q", again.path(name))
		run(t, "qemu-io", "-r", "-f", "qcow2", "-c", "read -q -P 1 64k 448k", "-c", "read -q -P 0 512k 64k", "-c", "read -q -P 2 40M 64k", again.path(name))
	})
}
