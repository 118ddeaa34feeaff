package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// backedUp makes images of the kinds that a backup meets, with a tag by which a mount
// shows no others, and returns their names.
func backedUp(t *testing.T, s service, prefix, tag string) []string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	run(t, "qemu-img", "convert", "-O", "qcow2", file(t, "raw", noise(610, 3<<20)), disk)
	qcow2, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	properties := map[string]string{"os_distro": "debian", "hw_disk_bus": "scsi"}
	var names []string
	for _, made := range []struct {
		n    image.New
		data []byte
	}{
		{image.New{Name: "disk.qcow2", DiskFormat: "qcow2", ContainerFormat: "bare", Properties: properties}, qcow2},
		{image.New{Name: "big.raw", MinDisk: 3, MinRAM: 512}, noise(611, 20<<20+3)},
		{image.New{Name: "a name/with \u00fc and 50%25.img", Visibility: image.VisibilityPrivate}, noise(612, 70000)},
		{image.New{Name: "one", Protected: true}, noise(613, 1)},
		{image.New{Name: "community.img", Visibility: image.VisibilityCommunity, Tags: []string{"gold"}}, noise(614, 4096)},
	} {
		made.n.Name = prefix + made.n.Name
		made.n.Tags = append(made.n.Tags, tag)
		s.upload(t, made.n, made.data)
		names = append(names, made.n.Name)
	}
	return names
}

// copied is what a copy of an image is to have of it.
func copied(img image.Image) string {
	slices.Sort(img.Tags)
	return fmt.Sprint(img.Name, img.Size, img.HashValue, img.DiskFormat, img.ContainerFormat, img.Visibility, img.Tags,
		img.MinDisk, img.MinRAM, img.Protected, img.CarriedProperties())
}

// All images of a project are backed up to a local disk, and from there into another
// project, with all that they carry. A second time nothing is copied.
func TestBackupIntoAnotherProject(t *testing.T) {
	t.Parallel() // it waits for the service
	s := services[1]
	api, err := dial(client.Options{Cloud: "demo2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	other := service{name: "demo2", args: []string{"--cloud", "demo2"}, api: api}
	const tag = "backup"
	names := backedUp(t, s, "backup-", tag)
	defer func() { // not by name: one is protected
		for _, name := range names {
			for _, img := range other.images(t, name) {
				other.cleanUp(t, img.ID)
			}
		}
	}()
	from, to, local := mountOn(t, s, "--read-only", "--tag", tag), mountOn(t, other), t.TempDir()
	for _, way := range []struct{ from, to string }{{from.dir + "/", local}, {local + "/", to.dir}} {
		rsync := []string{"-aX", "--omit-dir-times", "--itemize-changes", way.from, way.to}
		first := run(t, "rsync", rsync...)
		if got := strings.Count(first, ">f+++++++++ "); got != len(names) {
			t.Errorf("%d of %d images were copied:\n%s", got, len(names), first)
		}
		if again := run(t, "rsync", rsync...); again != "" {
			t.Errorf("a second time rsync still found:\n%s", again)
		}
	}
	to.settled()
	for _, name := range names {
		if got, want := copied(other.one(t, name)), copied(s.one(t, name)); got != want {
			t.Errorf("the copy of %s is\n%s\nwant\n%s", name, got, want)
		}
	}
}

// A backup program finds every image once, each time that it is asked; and what it
// gives back is what was there.
func TestRestic(t *testing.T) {
	t.Parallel() // it waits for the service
	s := services[1]
	const tag = "restic"
	names := backedUp(t, s, "restic-", tag)
	args := []string{"--read-only", "--tag", tag}
	m := mountOn(t, s, args...)
	repository, out := filepath.Join(t.TempDir(), "repository"), t.TempDir()
	restic := func(dir, script string) string {
		t.Helper()
		return run(t, "sh", "-ec", `cd "$0"; export RESTIC_REPOSITORY="$1" RESTIC_PASSWORD=x RESTIC_CACHE_DIR="$1.cache"; `+script, dir, repository, out)
	}
	restic(m.dir, "restic init -q; restic backup -q .")
	// Another mount has the same files: by size, times and inode numbers none was changed.
	m.unmount()
	m = mountOn(t, s, args...)
	said := restic(m.dir, `restic backup --parent "$(restic snapshots --json | jq -r .[0].id)" .`)
	if want := fmt.Sprintf("0 new,     0 changed, %5d unmodified", len(names)); !strings.Contains(said, want) {
		t.Errorf("the second backup said %s, want %s", said, want)
	}
	restic(m.dir, `restic check -q; restic restore -q latest --target "$2"`)
	for _, dir := range []string{m.dir, out} {
		if got := len(strings.Fields(run(t, "find", dir, "-mindepth", "1", "-maxdepth", "1", "-type", "f", "-printf", "x "))); got != len(names) {
			t.Errorf("%d files are in %s, want %d", got, dir, len(names))
		}
	}
	run(t, "diff", "-r", m.dir, out)
}

// Programs that read whole directories read what is there: tar, sha256sum, find and dd.
func TestProgramsThatRead(t *testing.T) {
	t.Parallel() // it waits for the service
	s := services[1]
	const tag = "reading"
	names := backedUp(t, s, "reading-", tag)
	m := mountOn(t, s, "--read-only", "--tag", tag)
	out := t.TempDir()
	// The archive has the times and sizes that the directory shows, and the bytes.
	run(t, "sh", "-ec", `cd "$0"
		sha256sum -- * > "$1/sums"
		tar -cf "$1/archive.tar" -- *
		mkdir "$1/got"; cd "$1/got"
		tar -xf ../archive.tar
		sha256sum -c --quiet ../sums
		tar -C "$0" -df ../archive.tar`, m.dir, out)
	got := run(t, "find", m.dir, "-type", "f", "-size", "+1M", "-name", "*.raw", "-newermt", "yesterday", "-printf", "%f %s\n")
	if want := fmt.Sprintf("reading-big.raw %d\n", 20<<20+3); got != want {
		t.Errorf("find says %q, want %q", got, want)
	}
	if got := strings.Count(run(t, "find", filepath.Join(m.dir, ".by-id"), "-type", "f"), "\n"); got != len(names) {
		t.Errorf("%d ids are listed, want %d", got, len(names))
	}
	// Backwards, and in pieces that are no whole blocks.
	run(t, "sh", "-ec", `for i in $(seq 21 -1 0); do
		dd if="$0" of="$1/dd" bs=1000003 skip=$i seek=$i conv=notrunc status=none
		done; cmp "$0" "$1/dd"`, m.path("reading-big.raw"), out)
}
