package test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// lying returns the one image of a name that lies in the trash, and why.
func (s service) lying(t *testing.T, name string) (image.Image, image.Trash) {
	t.Helper()
	var found []image.Image
	for _, img := range s.images(t, name) {
		if _, lies := img.Trashed(); lies {
			found = append(found, img)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d images called %s lie in the trash, want 1: %+v", len(found), name, found)
	}
	why, _ := found[0].Trashed()
	return found[0], why
}

// shown returns the one image of a name that is not hidden.
func (s service) shown(t *testing.T, name string) image.Image {
	t.Helper()
	var found []image.Image
	for _, img := range s.images(t, name) {
		if !img.Hidden {
			found = append(found, img)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d images called %s show, want 1: %+v", len(found), name, found)
	}
	return found[0]
}

// With --trash, what is removed or replaced is hidden, whole and under its name.
func TestTrash(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s, "--trash", "1h")
		old, data := noise(80, 3<<20), noise(81, 70000)
		source := file(t, "source", data)
		for way, script := range map[string]string{
			"rm":    `rm "$1"`,
			"cp":    `cp "$0" "$1"`,
			"mv":    `cp "$0" "$1.tmp" && mv "$1.tmp" "$1"`,
			"rsync": `rsync -a "$0" "$1"`,
			"edit":  `printf x | dd of="$1" bs=1 seek=100 conv=notrunc status=none`,
			"draft": `exec 3> "$1"; cat "$0" >&3; rm "$1"; exec 3>&-`,
		} {
			name := s.cleanName(t, "trash-"+way+".img")
			img := s.upload(t, image.New{Name: name, Tags: []string{"gold"}}, old)
			f, err := os.Open(m.path(name))
			if err != nil {
				t.Fatal(err)
			}
			run(t, "bash", "-ec", script, source, m.path(name))
			m.settled()
			hidden, why := s.lying(t, name)
			holds(t, hidden, old)
			if hidden.ID != img.ID || len(hidden.Tags) != 1 {
				t.Errorf("%s: in the trash lies %+v", way, hidden)
			}
			if way == "rm" || way == "draft" {
				if _, err := os.Stat(m.path(name)); !os.IsNotExist(err) || why.By != "" {
					t.Errorf("%s: %v, why %s", way, err, why.Why())
				}
			} else if now := s.shown(t, name); why.By != now.ID || now.Properties[image.PropertyTrash] != "" {
				t.Errorf("%s: it lies there as %s, and the image is %+v", way, why.Why(), now)
			}
			got := make([]byte, len(old))
			if _, err := f.ReadAt(got, 0); way != "edit" && way != "draft" && way != "cp" && (err != nil || !bytes.Equal(got, old)) {
				t.Errorf("%s: who had it open reads other bytes: %v", way, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(m.path(".by-id/" + img.ID)); err != nil || !bytes.Equal(got, old) {
				t.Errorf("%s: by its id: %v", way, err)
			}
		}

		// What has no bytes, and what is protected.
		empty := s.cleanName(t, "trash-empty.img")
		run(t, "touch", m.path(empty))
		m.settled()
		run(t, "rm", m.path(empty))
		if left := s.images(t, empty); len(left) != 0 {
			t.Errorf("rm of an empty file left %+v", left)
		}
		late := s.upload(t, image.New{Name: s.cleanName(t, "trash-late.img")}, old)
		run(t, "ls", m.path("trash-late.img"))
		if _, err := s.api.Update(t.Context(), late.ID, []image.Change{{Field: "protected", Value: true}}); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Unlink(m.path("trash-late.img")); !errors.Is(err, syscall.EPERM) {
			t.Errorf("rm of an image that has been protected since: %v, want EPERM", err)
		}
		if now := s.one(t, "trash-late.img"); now.Hidden {
			t.Error("a protected image was hidden")
		}
	})
}

// The trash is listed, restored from and emptied without a mount, by credentials or
// at an address.
func TestTrashCommands(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s, "--trash", "1h", "--list-ttl", "1s")
		name, data, other := s.cleanName(t, "back.img"), noise(83, 3<<20), noise(84, 70000)
		old := s.upload(t, image.New{Name: name, Tags: []string{"gold"}}, data)
		trash := func(args ...string) string {
			t.Helper()
			return run(t, binary, append(append([]string{"trash"}, args...), s.args...)...)
		}
		run(t, "rm", m.path(name))
		if out := trash("list"); !strings.Contains(out, old.ID) || !strings.Contains(out, "removed") {
			t.Errorf("trash list says %s", out)
		}
		if out := trash("restore", name); out != "restored "+old.ID+" "+name+"\n" {
			t.Errorf("restore says %s", out)
		}
		m.until("the image to be back", func() bool {
			got, err := os.ReadFile(m.path(name))
			return err == nil && bytes.Equal(got, data)
		})
		back := s.one(t, name)
		if back.ID != old.ID || back.Hidden || back.Properties[image.PropertyTrash] != "" || len(back.Tags) != 1 {
			t.Errorf("it came back as %+v", back)
		}

		// Replaced, and restored beside its successor.
		run(t, "cp", file(t, name, other), m.path(name))
		m.settled()
		now := s.shown(t, name)
		if out := trash("list", "--json"); !strings.Contains(out, `"by": "`+now.ID+`"`) {
			t.Errorf("trash list --json says %s", out)
		}
		trash("restore", old.ID[:13])
		m.until("both to show", func() bool {
			out := run(t, "ls", m.dir)
			return strings.Contains(out, "back~"+old.ID[:8]+".img") || strings.Contains(out, "back~"+now.ID[:8]+".img")
		})

		// What was in the trash once can go there again, and from there for good.
		run(t, "rm", m.path(name))
		run(t, "rm", m.path(name)) // the other one's entry by now
		if failed := fails(t, binary, append([]string{"trash", "empty", old.ID}, s.args...)...); failed.code != 2 || len(s.images(t, name)) != 2 {
			t.Errorf("trash empty without --yes: %v", failed)
		}
		if out := trash("empty", "--yes", old.ID, now.ID); strings.Count(out, "deleted ") != 2 {
			t.Errorf("trash empty says %s", out)
		}
		if left := s.images(t, name); len(left) != 0 {
			t.Errorf("trash empty left %+v", left)
		}
	})
}

// What has lain in the trash for its time is deleted by a mount, or by the next one.
func TestTrashExpires(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		one, two, three := s.cleanName(t, "expire-one.img"), s.cleanName(t, "expire-two.img"), s.cleanName(t, "expire-three.img")
		for _, name := range []string{one, two, three} {
			s.upload(t, image.New{Name: name}, noise(82, 5000))
		}
		m := mountOn(t, s, "--trash", "1h")
		run(t, "rm", m.path(three))
		m.unmount()
		m = mountOn(t, s, "--trash", "2s")
		run(t, "rm", m.path(one))
		s.lying(t, one)
		m.until("the mount to delete it", func() bool { return len(s.images(t, one)) == 0 })
		run(t, "rm", m.path(two))
		m.unmount()
		s.lying(t, two)
		m = mountOn(t, s, "--trash", "2s")
		m.until("the next mount to delete it", func() bool { return len(s.images(t, two)) == 0 })
		s.lying(t, three)
	})
}
