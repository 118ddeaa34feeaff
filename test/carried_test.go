package test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// carried is an image with all the metadata that a copy is to have.
func (s service) carried(t *testing.T, name string) image.Image {
	return s.upload(t, image.New{
		Name: name, Visibility: image.VisibilityCommunity, Tags: []string{"one", "a,b", "zwei ü"}, MinDisk: 3, MinRAM: 64,
		Properties: map[string]string{"os_distro": "debian", "a/b~c": "中", "owner_specified.openstack.md5": "x", "empty": ""},
	}, noise(81, 100_000))
}

// same checks that the service has a copy with the metadata of carried.
func (s service) same(t *testing.T, what, name string, was image.Image) {
	t.Helper()
	got := s.one(t, name)
	holds(t, got, noise(81, 100_000))
	want, now := was.CarriedProperties(), got.CarriedProperties()
	sorted := func(l []string) string { return fmt.Sprintf("%q", slices.Sorted(slices.Values(l))) }
	if got.Visibility != was.Visibility || sorted(got.Tags) != sorted(was.Tags) || got.MinDisk != was.MinDisk || got.MinRAM != was.MinRAM || fmt.Sprint(now) != fmt.Sprint(want) {
		t.Errorf("%s made %+v\nof %+v", what, got, was)
	}
}

// cp and rsync carry metadata from one cloud to another, also by way of a local disk, and
// find nothing more to do the second time.
func TestMetadataIsCarried(t *testing.T) {
	for _, way := range [][2]service{{services[0], services[1]}, {services[1], services[0]}} {
		from, to := way[0], way[1]
		t.Run(from.name+" to "+to.name, func(t *testing.T) {
			changes := func() []string { return nil }
			if to.name == services[0].name { // the proxy knows no Keystone
				var w *wire
				w, to = newWire(t, to)
				changes = func() []string { made, _ := w.changes(); return made }
			}
			source, target := mountOn(t, from, "--read-only"), mountOn(t, to)
			behind := mountOn(t, to, "--writeback")
			const name = "carried.img"
			was := from.carried(t, name)
			disk := t.TempDir()
			for _, c := range []struct {
				what, script string
				m            *mount
			}{
				{"cp --preserve=xattr", `cp --preserve=xattr "$0/$2" "$1/$3"`, target},
				{"cp -a", `cp -a "$0/$2" "$1/$3"`, target},
				{"cp over a file", `echo x >"$1/$3"; cp --preserve=xattr "$0/$2" "$1/$3"`, target},
				{"rsync -X", `rsync -X "$0/$2" "$1/$3"`, target},
				{"rsync -aX", `rsync -aX "$0/$2" "$1/$3"`, target},
				{"rsync -aX --inplace", `rsync -aX --inplace "$0/$2" "$1/$3"`, target},
				{"rsync -aX --writeback", `rsync -aX "$0/$2" "$1/$3"`, behind},
				{"cp -a --writeback", `cp -a "$0/$2" "$1/$3"`, behind},
				{"rsync -aX by a disk", `rsync -aX "$0/$2" "$4/" && rsync -aX "$4/$2" "$1/$3"`, target},
				{"cp -a by a disk", `cp -a "$0/$2" "$4/" && cp -a "$4/$2" "$1/$3"`, target},
				{"mv by a disk", `cp -a "$0/$2" "$4/" && mv "$4/$2" "$1/$3"`, target},
			} {
				copied := to.cleanName(t, c.what+".img")
				run(t, "bash", "-ec", c.script, source.dir, c.m.dir, name, copied, disk)
				c.m.settled()
				to.same(t, c.what, copied, was)
				if strings.HasPrefix(c.what, "rsync -a") {
					changes()
					run(t, "bash", "-ec", c.script, source.dir, c.m.dir, name, copied, disk)
					c.m.settled()
					if made := changes(); len(made) > 0 {
						t.Errorf("%s again: %v", c.what, made)
					}
				}
			}
		})
	}
}

// Who copies another project's public image gets what can be had, and no error.
func TestMetadataOfOthersIsCarried(t *testing.T) {
	admin, err := dial(client.Options{Cloud: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	theirs := service{name: "admin", args: []string{"--cloud", "admin"}, api: admin}
	const name = "public by others.img"
	public := theirs.upload(t, image.New{Name: name, Visibility: image.VisibilityPublic, Protected: true, Tags: []string{"t"}, MinRAM: 9, Properties: map[string]string{"os_distro": "debian"}}, noise(82, 5000))
	s := services[1]
	m := mountOn(t, s)
	for what, script := range map[string]string{
		"cp -a": `cp -a "$0" "$1"`, "cp": `cp --preserve=xattr "$0" "$1"`, "rsync": `rsync -aX "$0" "$1"`, "by id": `cp --preserve=xattr "$2" "$1"`,
	} {
		to := s.cleanName(t, "of others by "+what+".img")
		run(t, "bash", "-ec", script, m.path(name), m.path(to), m.path(".by-id/"+public.ID))
		m.settled()
		if got := s.one(t, to); got.Visibility != image.VisibilityShared || got.Protected || got.MinRAM != 9 || !slices.Equal(got.Tags, []string{"t"}) || got.Properties["os_distro"] != "debian" {
			t.Errorf("%s made %+v", what, got)
		}
	}
	for key, value := range map[string]string{"tags": "x", "protected": "false", "property.p": "v"} {
		if err := setxattr(m.path(name), key, value); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s of another project's image: %v", key, err)
		}
	}
}
