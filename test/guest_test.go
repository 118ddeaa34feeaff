package test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// banner is what the rescue image says when it is up, and rescue what it does then: it
// reads a file of its disk, and switches the machine off.
const (
	banner = "the rescue image is up"
	rescue = `
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo "` + banner + `"
sha512sum /payload
halt
`
)

// A virtual machine boots from the mount, of a CD and of a disk, writes its banner on
// the serial port, and reads from its disk what is in the image.
func TestMachineBoots(t *testing.T) {
	t.Parallel() // the machine is slow, and waits
	s := services[1]
	m := mountOn(t, s)
	tree, payload := t.TempDir(), noise(600, 1500000)
	run(t, "mkdir", "-p", filepath.Join(tree, "boot/grub"))
	for name, data := range map[string][]byte{"payload": payload, "boot/grub/grub.cfg": []byte(rescue)} {
		if err := os.WriteFile(filepath.Join(tree, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cd, disk := s.cleanName(t, "booted.iso"), s.cleanName(t, "booted.qcow2")
	made := filepath.Join(t.TempDir(), cd)
	// Of GRUB for a PC with a BIOS only: no others of its platforms need to be installed.
	run(t, "grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--fonts=", "--locales=", "--themes=", "-o", made, tree)
	run(t, "cp", made, m.path(cd))
	run(t, "qemu-img", "convert", "-O", "qcow2", m.path(cd), m.path(disk))
	m.settled()
	m = m.again() // so that it reads from the service
	before := []image.Image{s.one(t, cd), s.one(t, disk)}

	sum := sha512.Sum512(payload)
	for _, drive := range []string{
		"media=cdrom,format=raw,readonly=on,file=" + m.path(cd),
		"if=virtio,format=qcow2,snapshot=on,file=" + m.path(disk),
	} {
		said := run(t, "qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-nodefaults", "-no-reboot",
			"-display", "none", "-serial", "stdio", "-drive", drive)
		said = strings.NewReplacer("\r", "", "\n", "").Replace(said) // GRUB breaks lines where its terminal ends
		if !strings.Contains(said, banner) || !strings.Contains(said, hex.EncodeToString(sum[:])) {
			t.Errorf("%s: the machine said %q", drive, said)
		}
	}
	for i, now := range []image.Image{s.one(t, cd), s.one(t, disk)} {
		if now.ID != before[i].ID {
			t.Errorf("booting made %s of image %s", now.ID, before[i].ID)
		}
	}
}

// guestfish runs libguestfs's shell. It works through a virtual machine, which is
// emulated: inside another one KVM may be there, and not work.
func guestfish(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "guestfish", args...)
	cmd.Env = append(os.Environ(), "LIBGUESTFS_BACKEND=direct", "LIBGUESTFS_BACKEND_SETTINGS=force_tcg",
		"LIBGUESTFS_CACHEDIR="+t.TempDir())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("guestfish %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// What is inside images is looked at, and in one changed: the change is a new image,
// which has that and the rest of the filesystem.
func TestGuestfish(t *testing.T) {
	t.Parallel() // its machine waits as long as it works
	s := services[1]
	m := mountOn(t, s)
	looked, edited := s.cleanName(t, "looked.img"), s.cleanName(t, "edited.qcow2")
	tree, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	data := noise(601, 300000)
	if err := os.WriteFile(filepath.Join(tree, "before"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(t.TempDir(), "raw")
	run(t, "mkfs.ext4", "-q", "-d", tree, raw, "32M")
	run(t, "cp", raw, m.path(looked))
	run(t, "qemu-img", "convert", "-O", "qcow2", raw, m.path(edited))
	m.settled()
	before := []image.Image{s.one(t, looked), s.one(t, edited)}
	m = m.again() // so that it reads from the service

	// One machine for both: it takes a third of a minute to come up.
	beside := file(t, "copied", noise(602, 200000))
	said := guestfish(t, "add", m.path(looked), "readonly:true", "format:raw", ":", "add", m.path(edited), "format:qcow2", ":", "run", ":",
		"mount-ro", "/dev/sda", "/", ":", "ls", "/", ":", "umount", "/", ":",
		"mount", "/dev/sdb", "/", ":", "ls", "/", ":", "checksum", "sha512", "/before", ":",
		"upload", beside, "/copied", ":", "rm", "/before", ":", "umount-all")
	sum := sha512.Sum512(data)
	if want := "before\nlost+found\nbefore\nlost+found\n" + hex.EncodeToString(sum[:]) + "\n"; said != want {
		t.Errorf("guestfish said %q, want %q", said, want)
	}
	m.settled()
	if now := s.one(t, looked); now.ID != before[0].ID {
		t.Errorf("looking inside made %s of image %s", now.ID, before[0].ID)
	}
	if now := s.one(t, edited); now.ID == before[1].ID || now.DiskFormat != "qcow2" || now.Status != image.StatusActive {
		t.Errorf("the other became %+v", now)
	}
	again := mountOn(t, s)
	run(t, "qemu-img", "convert", "-O", "raw", again.path(edited), raw)
	run(t, "e2fsck", "-fn", raw)
	run(t, "debugfs", "-R", "dump /copied "+out, raw)
	run(t, "cmp", beside, out)
	if got := run(t, "debugfs", "-R", "ls -p /", raw); strings.Contains(got, "/before/") || !strings.Contains(got, "/copied/") {
		t.Errorf("on the disk is %s", got)
	}
}

// nbdkit serves an image to those who speak NBD.
func TestNbdkit(t *testing.T) {
	t.Parallel() // it waits for the service
	s := services[1]
	name := s.cleanName(t, "nbdkit.img")
	data := noise(603, 9<<20)
	s.upload(t, image.New{Name: name}, data)
	m := mountOn(t, s)
	out := filepath.Join(t.TempDir(), "out")
	run(t, "nbdkit", "--readonly", "--unix", "-", "file", m.path(name), "--run", `nbdcopy "$uri" `+out)
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
}
