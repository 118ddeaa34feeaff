package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// A gibibyte goes in, is the image that the service says it is, comes out equal,
// also after a remount, and is deleted.
func TestCopyGibibyteInAndOut(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "gibibyte.raw")
		source := filepath.Join(t.TempDir(), "source")
		block := noise(1, 1<<20)
		f, err := os.Create(source)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1024 {
			block[0], block[1] = byte(i), byte(i>>8) // no two alike
			if _, err := f.Write(block); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		run(t, "cp", source, m.path(name))
		img := s.one(t, name)
		want := strings.Fields(run(t, "sha512sum", source))[0]
		if img.Status != image.StatusActive || img.Size != 1<<30 || img.DiskFormat != "raw" || img.ContainerFormat != "bare" || img.HashValue != want {
			t.Errorf("the service has %+v, want 1 GiB of raw with hash %s", img, want)
		}
		if s.name == "glance" {
			shown := show(t, img.ID)
			if shown["status"] != "active" || shown["size"] != float64(1<<30) || shown["disk_format"] != "raw" || !strings.Contains(shown["properties"].(map[string]any)["os_hash_value"].(string), want) {
				t.Errorf("openstack image show says %v", shown)
			}
		}
		run(t, "cmp", source, m.path(name))
		m.settled()
		m.unmount()
		again := mountOn(t, s)
		run(t, "cmp", source, again.path(name))
		run(t, "rm", again.path(name))
		if left := s.images(t, name); len(left) != 0 {
			t.Errorf("rm left %v", left)
		}
	})
}

// Random writes, holes and truncation shape the draft as they shape a local file.
func TestDraftIsAFile(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "shaped.img")
		f, err := os.Create(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 6<<20)
		write := func(seed uint64, n int, off int64) {
			p := noise(seed, n)
			if _, err := f.WriteAt(p, off); err != nil {
				t.Fatal(err)
			}
			copy(want[off:], p)
		}
		write(1, 1<<20, 4<<20)
		write(2, 12345, 777)
		if err := f.Truncate(3 << 20); err != nil {
			t.Fatal(err)
		}
		clear(want[3<<20:])
		if err := f.Truncate(5 << 20); err != nil {
			t.Fatal(err)
		}
		write(3, 100, 3<<20+5)
		want = want[:5<<20]
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("reading back while writing gave other bytes")
		}
		if info, err := f.Stat(); err != nil || info.Size() != 5<<20 {
			t.Errorf("stat while writing: %v, %v", info, err)
		}
		if len(s.images(t, name)) != 0 {
			t.Error("the service has an image before close")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		holds(t, s.one(t, name), want)
	})
}

// Formats are found by content, and what is no whole disk is refused.
func TestFormatOfANewFile(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		dir := t.TempDir()
		for _, format := range []string{"qcow2", "vmdk", "vdi", "vhdx", "vpc", "raw"} {
			local := filepath.Join(dir, "disk."+format)
			run(t, "qemu-img", "create", "-f", format, local, "16M")
			name := s.cleanName(t, "formats."+format)
			run(t, "cp", local, m.path(name))
			want := format
			if format == "vpc" {
				want = "vhd"
			}
			if got := s.one(t, name).DiskFormat; got != want {
				t.Errorf("%s became %s", format, got)
			}
		}
		iso := filepath.Join(dir, "disk.iso")
		run(t, "xorriso", "-outdev", iso, "-map", "/etc/hostname", "/hostname", "-commit")
		name := s.cleanName(t, "formats.iso")
		run(t, "cp", iso, m.path(name))
		if got := s.one(t, name).DiskFormat; got != "iso" {
			t.Errorf("an ISO became %s", got)
		}

		base := filepath.Join(dir, "disk.qcow2")
		child := filepath.Join(dir, "child.qcow2")
		run(t, "qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", child)
		run(t, "gzip", "-k", filepath.Join(dir, "disk.raw"))
		for kept, refused := range []string{child, filepath.Join(dir, "disk.raw.gz")} {
			name := s.cleanName(t, filepath.Base(refused))
			failed := fails(t, "cp", refused, m.path(name))
			if !strings.Contains(failed.stderr, "Invalid argument") {
				t.Errorf("cp of %s: %s", refused, failed.stderr)
			}
			if left := s.images(t, name); len(left) != 0 {
				t.Errorf("a refused file left %v", left)
			}
			m.until("the draft to be kept", func() bool { return len(m.drafts()) == kept+1 })
			m.until("the entry to go", func() bool { _, err := os.Lstat(m.path(name)); return os.IsNotExist(err) })
		}
	})
}

// qemu-img convert opens its target three times: SEMANTICS says what that costs.
func TestConvertIntoTheMount(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		disk := file(t, "disk.raw", append(noise(4, 3<<20), make([]byte, 5<<20)...))
		name := s.cleanName(t, "converted.qcow2")
		run(t, "qemu-img", "convert", "-O", "qcow2", disk, m.path(name))
		img := s.one(t, name)
		if img.Status != image.StatusActive || img.DiskFormat != "qcow2" {
			t.Errorf("it became %+v", img)
		}
		run(t, "qemu-img", "check", m.path(name))
		run(t, "qemu-img", "compare", disk, m.path(name))
		// One commit for its header and one for its data, each an upload. The first
		// open writes nothing: it is a record without data if the second open comes
		// too late to join it.
		log := m.log.String()
		if got := strings.Count(log, "msg=upload "); got != 2 {
			t.Errorf("the convert made %d uploads, SEMANTICS says 2", got)
		}
		if got := strings.Count(log, "msg=committed "); got != 2 && got != 3 {
			t.Errorf("the convert made %d commits, SEMANTICS says 2 or 3", got)
		}
	})
}

// rsync writes aside, sets the times and renames; the second run finds nothing to
// do. The other way it makes a local copy with the image's times.
func TestRsync(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		data := noise(5, 2<<20+17)
		source := file(t, s.cleanName(t, "rsynced.img"), data)
		if err := os.Chmod(source, 0o640); err != nil {
			t.Fatal(err)
		}
		run(t, "touch", "-d", "2021-02-03T04:05:06.123456789Z", source)
		run(t, "rsync", "-a", source, m.dir+"/")
		first := s.one(t, "rsynced.img")
		holds(t, first, data)
		if out := run(t, "rsync", "-a", "--itemize-changes", source, m.dir+"/"); strings.Contains(out, "rsynced") {
			t.Errorf("the second rsync changed something: %s", out)
		}
		if again := s.one(t, "rsynced.img"); again.ID != first.ID {
			t.Errorf("the second rsync replaced image %s by %s", first.ID, again.ID)
		}
		out := t.TempDir()
		run(t, "rsync", "-a", m.path("rsynced.img"), out+"/")
		run(t, "cmp", source, filepath.Join(out, "rsynced.img"))
		if got, want := stat(t, "%Y %a", filepath.Join(out, "rsynced.img")), stat(t, "%Y %a", source); got != want {
			t.Errorf("rsync out gave time and mode %s, want %s", got, want)
		}
		m.settled()
		m.unmount()
		again := mountOn(t, s)
		if out := run(t, "rsync", "-a", "--itemize-changes", source, again.dir+"/"); strings.Contains(out, "rsynced") {
			t.Errorf("rsync after a remount changed something: %s", out)
		}
	})
}

func stat(t *testing.T, format, path string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "stat", "-c", format, path))
}

// Renames: to a free name, over another image, of a file that is being written.
func TestRename(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		one, two := s.cleanName(t, "rename-one.img"), s.cleanName(t, "rename-two.img")
		three := s.cleanName(t, "rename-three.img")
		data1, data2 := noise(6, 1<<20), noise(7, 1<<20)
		run(t, "cp", file(t, one, data1), m.path(one))
		id := s.one(t, one).ID
		run(t, "mv", m.path(one), m.path(two))
		if len(s.images(t, one)) != 0 || s.one(t, two).ID != id {
			t.Error("mv did not rename the image")
		}
		run(t, "cp", file(t, one, data2), m.path(one))
		run(t, "mv", m.path(one), m.path(two))
		if len(s.images(t, one)) != 0 {
			t.Error("mv over an image left the old name")
		}
		holds(t, s.one(t, two), data2)
		if s.one(t, two).ID == id {
			t.Error("the image that was renamed over is still there")
		}
		if got, err := os.ReadFile(m.path(two)); err != nil || !bytes.Equal(got, data2) {
			t.Errorf("reading after mv over: %v", err)
		}
		failed := fails(t, "mv", "-n", m.path(two), m.path(".by-id"))
		if failed.code == 0 {
			t.Error("mv into .by-id succeeded")
		}

		f, err := os.Create(m.path(one))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data1); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(m.path(one), m.path(three)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		holds(t, s.one(t, three), data1)
		if len(s.images(t, one)) != 0 {
			t.Error("a renamed draft was committed under its first name")
		}
	})
}

// Overwriting and editing in place end in a new image of the same name, with what
// the old one carried.
func TestOverwriteAndEdit(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "edited.img")
		data := noise(8, 3<<20)
		old := s.upload(t, image.New{
			Name: name, Tags: []string{"gold"}, MinDisk: 3, MinRAM: 64,
			Properties: map[string]string{"hw_disk_bus": "scsi", "owner_specified.openstack.md5": "x"},
		}, data)

		f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		patch := noise(9, 5000)
		if _, err := f.WriteAt(patch, 1<<20+100); err != nil {
			t.Fatal(err)
		}
		copy(data[1<<20+100:], patch)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		edited := s.one(t, name)
		holds(t, edited, data)
		if edited.ID == old.ID {
			t.Error("data of an active image cannot change, and yet the id stayed")
		}
		if len(edited.Tags) != 1 || edited.Tags[0] != "gold" || edited.MinDisk != 3 || edited.MinRAM != 64 ||
			edited.Properties["hw_disk_bus"] != "scsi" || edited.Properties["owner_specified.openstack.md5"] != "" {
			t.Errorf("the edited image carries %+v", edited)
		}
		if got, err := os.ReadFile(m.path(name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("reading the edited image: %v", err)
		}
		m.settled()

		run(t, "truncate", "-s", "1M", m.path(name))
		holds(t, s.one(t, name), data[:1<<20])
		run(t, "sh", "-c", "printf tail >> '"+m.path(name)+"'")
		holds(t, s.one(t, name), append(bytes.Clone(data[:1<<20]), "tail"...))
		m.settled()
		run(t, "cp", file(t, "new", noise(10, 99999)), m.path(name))
		holds(t, s.one(t, name), noise(10, 99999))
		m.settled()
		for what, empty := range map[string]func() error{
			"> file":      func() error { _, err := try(t, "sh", "-c", ": > '"+m.path(name)+"'"); return err },
			"truncate(2)": func() error { return os.Truncate(m.path(name), 0) },
		} {
			before := s.one(t, name)
			if err := empty(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			if got := s.one(t, name); got.Size != 0 || got.ID == before.ID || stat(t, "%s", m.path(name)) != "0" {
				t.Errorf("%s left %+v", what, got)
			}
			run(t, "cp", file(t, "new", noise(10, 99999)), m.path(name))
			m.settled()
		}
		if got := s.one(t, name); len(got.Tags) != 1 || got.Properties["hw_disk_bus"] != "scsi" {
			t.Errorf("the overwritten image carries %+v", got)
		}
	})
}

// A file that is made and never written is a record without data; shells that
// redirect from several writers make one image.
func TestShellRedirections(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		empty, both := s.cleanName(t, "empty.img"), s.cleanName(t, "both.img")
		run(t, "touch", m.path(empty))
		m.settled()
		if img := s.one(t, empty); img.Status != image.StatusQueued || img.Size != 0 {
			t.Errorf("touch made %+v", img)
		}
		if got, err := os.ReadFile(m.path(empty)); err != nil || len(got) != 0 {
			t.Errorf("an empty file reads as %d bytes, %v", len(got), err)
		}
		run(t, "sh", "-c", "(echo one; cat /etc/hostname; echo three) > '"+m.path(both)+"'")
		host, err := os.ReadFile("/etc/hostname")
		if err != nil {
			t.Fatal(err)
		}
		m.settled()
		holds(t, s.one(t, both), []byte("one\n"+string(host)+"three\n"))
		id := s.one(t, empty).ID
		run(t, "sh", "-c", "echo filled > '"+m.path(empty)+"'")
		m.settled()
		holds(t, s.one(t, empty), []byte("filled\n"))
		if s.one(t, empty).ID != id {
			t.Error("writing to an empty file made another image instead of filling its record")
		}
	})
}
