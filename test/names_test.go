package test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// oddNames are names that a file system, a terminal or a database takes for something
// else, and their entries.
var oddNames = map[string]string{
	"odd a/b":                 "odd a%2Fb",
	"odd ../../etc":           "odd ..%2F..%2Fetc",
	".":                       "%2E",
	"..":                      "%2E.",
	".by-id":                  "%2Eby-id",
	"odd new\nline":           "odd new%0Aline",
	"odd \x01\x1b[2J\x7f":     "odd %01%1B[2J%7F",
	"odd 100%41":              "odd 100%2541",
	"odd a%2Fb":               "odd a%252Fb", // what another one's entry is
	"odd 50%":                 "odd 50%",
	"odd \u202Eright to left": "odd \u202Eright to left",
	"odd e\u0301":             "odd e\u0301", // NFD
	"odd \u00e9":              "odd \u00e9",  // NFC
	"odd e":                   "odd e",       // and what they are without accents
	"odd Case":                "odd Case",
	"odd case":                "odd case",
	"odd CASE":                "odd CASE",
	"odd space":               "odd space",
	"odd space ":              "odd space ",
	"odd space  ":             "odd space  ",
	"odd dots...":             "odd dots...",
	"odd~1a2b3c4d.img":        "odd~1a2b3c4d.img", // as an entry beside its twin
	"odd ß":                   "odd ß",
	"odd ss":                  "odd ss",
}

// Every name that the service has is an entry that can be listed, looked up, read,
// renamed and deleted, whatever its database takes for equal.
func TestOddNames(t *testing.T) { onEach(t, testOddNames) }

// MariaDB compares names without case, accents and spaces at their end.
func TestOddNamesOnMariaDB(t *testing.T) {
	testOddNames(t, startGlance(t, "OS_DB=mariadb").service)
}

func testOddNames(t *testing.T, s service) {
	type odd struct{ name, entry string }
	images := map[string]odd{} // by id
	for name, entry := range oddNames {
		images[s.upload(t, image.New{Name: name}, []byte(name)).ID] = odd{name, entry}
	}
	null := s.upload(t, image.New{}, nil)
	empty := s.upload(t, image.New{Name: "odd empty"}, nil)
	if _, err := s.api.Update(t.Context(), empty.ID, []image.Change{{Field: "name", Value: ""}}); err != nil {
		t.Fatal(err)
	}
	images[null.ID], images[empty.ID] = odd{"", null.ID}, odd{"", empty.ID}
	long := strings.Repeat("中", 255) // 765 bytes
	id := s.upload(t, image.New{Name: long}, []byte(long)).ID
	images[id] = odd{long, strings.Repeat("中", 82) + "~" + id[:8]}

	looking := mountOn(t, s) // it never lists anything
	for id, odd := range images {
		if got, err := os.ReadFile(looking.path(odd.entry)); err != nil || string(got) != odd.name {
			t.Errorf("%q reads as %q, %v", odd.entry, got, err)
		}
		if got, err := getxattr(looking.path(odd.entry), "user.image.id"); err != nil || got != id {
			t.Errorf("%q is image %s, %v, want %s", odd.entry, got, err, id)
		}
	}
	m := mountOn(t, s)
	listed, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, e := range listed {
		shown[e.Name()] = true
	}
	for id, odd := range images {
		if !shown[odd.entry] {
			t.Errorf("%q is not listed as %q", odd.name, odd.entry)
		}
		if got, err := os.ReadFile(m.path(odd.entry)); err != nil || string(got) != odd.name {
			t.Errorf("%q reads as %q, %v", odd.entry, got, err)
		}
		to, name := odd.entry+" x", odd.name+" x"
		switch odd.name {
		case "", ".", "..", ".by-id", long: // another name has another entry than theirs and " x"
			to, name = "odd x "+id, "odd x "+id
		}
		run(t, "mv", "-n", m.path(odd.entry), m.path(to))
		if img, err := s.api.Get(t.Context(), id); err != nil || img.Name != name {
			t.Errorf("renaming %q named the image %q, %v", odd.entry, img.Name, err)
		}
		run(t, "rm", m.path(to))
		if _, err := s.api.Get(t.Context(), id); !image.Is(err, image.NotFound) {
			t.Errorf("removing %q left the image: %v", to, err)
		}
	}
}

// Images of one name have an entry each, and rm and mv act on the one they name.
func TestTwins(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		name := "twin.img"
		first := s.upload(t, image.New{Name: name}, []byte("first"))
		second := s.upload(t, image.New{Name: name}, []byte("second"))
		byEntry := map[string]image.Image{}
		m := mountOn(t, s)
		listed, err := os.ReadDir(m.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range listed {
			if strings.HasPrefix(e.Name(), "twin") {
				id, err := getxattr(m.path(e.Name()), "user.image.id")
				if err != nil {
					t.Fatal(err)
				}
				for _, img := range []image.Image{first, second} {
					if img.ID == id {
						byEntry[e.Name()] = img
					}
				}
			}
		}
		plain, ok := byEntry[name]
		if !ok || len(byEntry) != 2 {
			t.Fatalf("the twins are listed as %v", byEntry)
		}
		other := first
		if plain.ID == first.ID {
			other = second
		}
		suffixed := "twin~" + other.ID[:8] + ".img"
		if byEntry[suffixed].ID != other.ID {
			t.Fatalf("the twins are listed as %v, want one as %s", byEntry, suffixed)
		}
		run(t, "rm", m.path(suffixed))
		if left := s.one(t, name); left.ID != plain.ID {
			t.Errorf("rm of %s left %s", suffixed, left.ID)
		}
		fresh := mountOn(t, s) // a lookup before any listing
		if got, err := os.ReadFile(fresh.path(".by-id/" + plain.ID)); err != nil || len(got) == 0 {
			t.Errorf("reading .by-id: %q, %v", got, err)
		}
		if err := os.WriteFile(fresh.path(".by-id/"+plain.ID), []byte("x"), 0o600); err == nil {
			t.Error("writing under .by-id succeeded")
		}
		if out := run(t, "ls", "-a", fresh.dir); strings.Contains(out, ".by-id") {
			t.Error(".by-id shows in the root")
		}
		if out := run(t, "ls", fresh.path(".by-id")); !strings.Contains(out, plain.ID) {
			t.Errorf("ls .by-id shows %s", out)
		}
	})
}

func getxattr(path, name string) (string, error) {
	p := make([]byte, 4096)
	n, err := syscall.Getxattr(path, name, p)
	return string(p[:max(n, 0)]), err
}

// Names that the service cannot hold are refused before anything is written.
func TestNamesThatCannotBe(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		for name, want := range map[string]error{
			"emoji \U0001F600":                   syscall.EINVAL,
			"bad \xff utf8":                      syscall.EINVAL,
			"ends in an escape %2F%2f%41 or not": syscall.EINVAL,
		} {
			if _, err := os.Create(m.path(name)); err == nil || !strings.Contains(err.Error(), want.Error()) {
				t.Errorf("creating %q: %v, want %v", name, err, want)
			}
			if _, err := os.Stat(m.path(name)); !os.IsNotExist(err) {
				t.Errorf("stat of %q: %v, want ENOENT", name, err)
			}
		}
	})
}

// What a directory of images does not do, it refuses with the errno of a
// filesystem that does not do it.
func TestRefusedOperations(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name := s.cleanName(t, "refused.img")
		s.upload(t, image.New{Name: name}, []byte("x"))
		for what, err := range map[string]error{
			"mkdir":   syscall.Mkdir(m.path("d"), 0o755),
			"symlink": syscall.Symlink("x", m.path("l")),
			"link":    syscall.Link(m.path(name), m.path("l")),
			"mknod":   syscall.Mknod(m.path("n"), syscall.S_IFIFO|0o644, 0),
			"rmdir":   syscall.Rmdir(m.path(".by-id")),
		} {
			if !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v, want EPERM", what, err)
			}
		}
		dir, err := os.Open(m.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.Sync(); err != nil {
			t.Errorf("fsync of the directory: %v", err)
		}
		f, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Errorf("fsync of a file that is read: %v", err)
		}
		if _, err := f.Write([]byte("x")); err == nil {
			t.Error("writing through a read-only descriptor succeeded")
		}
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			fields := strings.Fields(line)
			if fields[1] == m.dir && (fields[2] != "fuse.imagefs" || !strings.Contains(fields[3], "default_permissions") || !strings.Contains(fields[3], "nosuid")) {
				t.Errorf("/proc/mounts says %s", line)
			}
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(m.dir, &fs); err != nil || fs.Bavail == 0 || fs.Namelen != 255 {
			t.Errorf("statfs: %+v, %v", fs, err)
		}
	})
}
