package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// mapping writes through a mapping that is made while the file is open, and again
// through one that outlives its descriptor.
const mapping = `
import mmap, os, sys
with open(sys.argv[1], "w+b") as f:
    f.truncate(3 << 20)
    m = mmap.mmap(f.fileno(), 0)
    m[100:105] = b"hello"
    m[2 << 20:(2 << 20) + 3] = b"far"
    m.flush()
    m.close()
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
os.close(fd)
m[200:204] = b"late"
m.flush()
m.close()
`

// replacing writes aside, and puts the new file in the place of the old one.
const replacing = `
import os, shutil, sys
aside = sys.argv[2] + ".tmp"
with open(sys.argv[1], "rb") as source, open(aside, "wb") as f:
    shutil.copyfileobj(source, f)
    f.flush()
    os.fsync(f.fileno())
os.replace(aside, sys.argv[2])
d = os.open(".", os.O_RDONLY)
os.fsync(d)
`

// Programs that write files find the mount to be a directory like any other: what
// each leaves there is what it leaves in a local one, and so is the image.
func TestProgramsThatWrite(t *testing.T) {
	source := file(t, "source", noise(60, 1<<20+777))
	patch := file(t, "patch", noise(61, 3000))
	sparse := file(t, "sparse", append(make([]byte, 1<<20), noise(62, 1<<18)...))
	archive := filepath.Join(t.TempDir(), "archive.tar")
	run(t, "tar", "-C", filepath.Dir(source), "-cf", archive, "source")
	python := file(t, "mapping.py", []byte(mapping))
	// Each script runs in a directory of its own, with $0 to $3 as below.
	scripts := map[string]string{
		"cp -a":                 `cp -a "$0" prog.img`,
		"cp -p":                 `cp -p "$0" prog.img`,
		"cp --sparse":           `cp --sparse=always "$2" prog.img`,
		"cp over":               `cp "$2" prog.img && cp "$0" prog.img`,
		"cp inside":             `cp "$0" prog.one && cp prog.one prog.img`,
		"mv in and on":          `cp "$0" "$3/moving" && mv "$3/moving" prog.one && mv prog.one prog.img`,
		"install":               `install -m 640 "$0" prog.img`,
		"tar":                   `tar -xf "$3/archive.tar" && mv source prog.img`,
		"rsync":                 `rsync -aX "$0" prog.img`,
		"rsync over":            `cp "$2" prog.img && rsync -a --no-whole-file "$0" prog.img`,
		"rsync in place":        `cp "$0" prog.img && rsync -a --inplace --no-whole-file "$2" prog.img`,
		"rsync --append":        `head -c 1000000 "$0" > prog.img && rsync --append "$0" prog.img`,
		"rsync --partial":       `rsync -a --partial "$0" prog.img`,
		"dd over a part":        `cp "$0" prog.img && dd if="$1" of=prog.img bs=1000 seek=7 conv=notrunc status=none`,
		"dd to the end":         `cp "$0" prog.img && dd if="$1" of=prog.img oflag=append conv=notrunc status=none`,
		"dd with fsync":         `dd if="$0" of=prog.img bs=256k conv=fsync status=none`,
		"dd past the cache":     `dd if="$2" of=prog.img bs=1M oflag=direct status=none`,
		"dd with a hole":        `dd if="$1" of=prog.img bs=1000 seek=1000 status=none`,
		"sed -i":                `printf 'one\ntwo\n' > prog.img && sed -i s/two/three/ prog.img`,
		"python's replace":      `cp "$2" prog.img && python3 "$3/replace.py" "$0" prog.img`,
		"an editor's swap":      `cp "$0" prog.img && cp "$1" prog.new && mv prog.img prog.old && mv prog.new prog.img && rm prog.old`,
		"redirections":          `{ echo one; cat "$1"; } > prog.img; echo two >> prog.img; exec 3<>prog.img; printf ONE >&3`,
		"several writers":       `(echo one; cat "$1") > prog.img; (cat prog.img; echo two) > prog.one`,
		"touch":                 `touch prog.img && cat "$0" > prog.img && touch -d @7 prog.img`,
		"tee":                   `tee prog.img prog.one < "$0" > "$3/tee.out"`,
		"truncate":              `cp "$0" prog.img && truncate -s 1000 prog.img && truncate -s 5000 prog.img`,
		"fallocate":             `cp "$0" prog.img && fallocate -p -o 4096 -l 8192 prog.img && fallocate -z -o 100 -l 50 prog.img && fallocate -l 4M prog.img`,
		"fallocate -d":          `cp "$2" prog.img && fallocate -d prog.img`,
		"mmap":                  `python3 "$3/mapping.py" prog.img`,
		"qemu-img and qemu-io":  `qemu-img create -q -f qcow2 prog.img 64M && qemu-io -f qcow2 -c 'write -q -P 7 1M 64k' prog.img && qemu-img resize -q prog.img 96M`,
		"qemu-img convert":      `qemu-img convert -m 1 -O qcow2 "$2" prog.img`,
		"qemu-img convert, raw": `qemu-img convert -O raw "$2" prog.img`,
		"qemu-img commit": `cp "$2" prog.img && qemu-img create -q -f qcow2 -b "$PWD/prog.img" -F raw "$3/over" &&
			qemu-io -f qcow2 -c 'write -q -P 9 64k 128k' "$3/over" && qemu-img commit -q "$3/over" && rm "$3/over"`,
	}
	beside := t.TempDir()
	for _, path := range []string{archive, python, file(t, "replace.py", []byte(replacing))} {
		run(t, "cp", path, beside)
	}
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		for _, name := range []string{"prog.img", "prog.one"} {
			s.cleanName(t, name)
		}
		before := s.records(t)
		for what, script := range scripts {
			local := t.TempDir()
			for _, dir := range []string{local, m.dir} {
				run(t, "sh", "-ec", `cd "$4"; `+script, source, patch, sparse, beside, dir)
			}
			m.settled()
			want, err := os.ReadFile(filepath.Join(local, "prog.img"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(m.path("prog.img")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes in the mount, %v, want the %d of the local file", what, len(got), err, len(want))
			}
			holds(t, s.one(t, "prog.img"), want)
			if got, want := ours(t, m.dir), ours(t, local); !slices.Equal(got, want) {
				t.Errorf("%s left %v, and locally %v", what, got, want)
			}
			if got, want := s.records(t).names(before), ours(t, local); !slices.Equal(got, want) {
				t.Errorf("%s left the images %v", what, got)
			}
			for _, name := range ours(t, m.dir) {
				run(t, "rm", m.path(name))
			}
		}
	})
}

// records are all images of a service, also hidden ones: the name of each by its id.
type records map[string]string

func (s service) records(t *testing.T) records {
	t.Helper()
	all := records{}
	for _, hidden := range []bool{false, true} {
		_, err := s.api.List(t.Context(), client.Filter{Hidden: hidden}, func(page []image.Image) error {
			for _, img := range page {
				all[img.ID] = img.Name
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// names are the sorted names of those that were not there before.
func (r records) names(before records) []string {
	var names []string
	for id, name := range r {
		if _, old := before[id]; !old {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A directory of files is copied into the mount, with the attributes of all and of
// the directory itself, and a second time there is nothing to do.
func TestCopyDirectory(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		tree, beside := t.TempDir(), t.TempDir()
		for i, name := range []string{"tree.one", "tree.two", "tree.three"} {
			s.cleanName(t, name)
			if err := os.WriteFile(filepath.Join(tree, name), noise(uint64(65+i), 70000*(i+1)), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		run(t, "sh", "-c", `touch -d 2021-02-03T04:05:06Z "$0" "$0"/*; chmod 750 "$0"; tar -C "$0" -cf "$1/tree.tar" .`, tree, beside)
		for what, script := range map[string]string{
			"rsync": `rsync -aX "$0/" "$2"`, "cp": `cp -a "$0/." "$2"`, "tar": `tar -C "$2" -xpf "$1/tree.tar"`,
		} {
			m := mountOn(t, s)
			before := s.records(t)
			run(t, "sh", "-c", script, tree, beside, m.dir)
			if got := s.records(t).names(before); !slices.Equal(got, []string{"tree.one", "tree.three", "tree.two"}) {
				t.Errorf("%s made the images %v", what, got)
			}
			if out := run(t, "rsync", "-a", "--itemize-changes", "--checksum", tree+"/", m.dir); out != "" {
				t.Errorf("after %s rsync still found: %s", what, out)
			}
			// An image has attributes that no file beside it has: rsync -X tells so, takes
			// away what is as in a new image anyway, and asks the service for nothing.
			was := fmt.Sprint(s.records(t))
			for line := range strings.Lines(run(t, "rsync", "-aX", "--itemize-changes", "--checksum", tree+"/", m.dir)) {
				if !strings.HasPrefix(line, ".f........x tree.") {
					t.Errorf("after %s rsync -X still found: %s", what, line)
				}
			}
			if now := fmt.Sprint(s.records(t)); now != was {
				t.Errorf("after %s rsync -X made %s of %s", what, now, was)
			}
			run(t, "sh", "-c", `rm "$0"/tree.*`, m.dir)
			m.unmount()
		}
	})
}

// ours lists a directory's files that a test of programs made.
func ours(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "prog.") || e.Name() == "source" {
			names = append(names, e.Name())
		}
	}
	return names
}

// Listings by other programs than ls, and what df says, agree with the service.
func TestListingPrograms(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "listed.img")
		run(t, "cp", file(t, name, noise(63, 70000)), m.path(name))
		run(t, "setfattr", "-n", "user.image.tags", "-v", "gold", m.path(name))
		if got := run(t, "find", m.dir, "-maxdepth", "1", "-name", "listed*", "-printf", "%f %s %y"); got != "listed.img 70000 f" {
			t.Errorf("find says %q", got)
		}
		if got := strings.Fields(run(t, "du", "--apparent-size", "-b", m.path(name))); got[0] != "70000" {
			t.Errorf("du says %v", got)
		}
		if got := run(t, "df", "--output=fstype,iavail", m.dir); !strings.Contains(got, "fuse.imagefs") {
			t.Errorf("df says %q", got)
		}
		if got := run(t, "getfattr", "--absolute-names", "-d", m.path(name)); !strings.Contains(got, `user.image.tags="gold"`) || !strings.Contains(got, `user.image.visibility="shared"`) || strings.Contains(got, "checksum") || strings.Contains(got, "imagefs_") {
			t.Errorf("getfattr -d says %q", got)
		}
		if got := strings.TrimSpace(run(t, "getfattr", "--absolute-names", "--only-values", "-n", "user.image.id", m.path(name))); got != s.one(t, name).ID {
			t.Errorf("the id is %q", got)
		}
		run(t, "ls", "-laZ", m.dir, m.path(".by-id"))
	})
}

// An edit that makes an image need a file of this machine is refused: the image
// stays what it was, and the draft is kept.
func TestRebaseIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		base := file(t, "base.raw", noise(64, 1<<20))
		name := s.cleanName(t, "rebased.qcow2")
		run(t, "qemu-img", "create", "-q", "-f", "qcow2", m.path(name), "1M")
		m.settled()
		before := s.one(t, name)
		// qemu-img does not look at what close says.
		run(t, "qemu-img", "rebase", "-q", "-u", "-b", base, "-F", "raw", m.path(name))
		m.until("the draft to be kept", func() bool { return len(m.drafts()) == 1 })
		m.until("the entry to be the image again", func() bool {
			return !strings.Contains(run(t, "qemu-img", "info", m.path(name)), "backing file")
		})
		if after := s.one(t, name); after.ID != before.ID || after.HashValue != before.HashValue {
			t.Errorf("image %s became %s", before.ID, after.ID)
		}
	})
}
