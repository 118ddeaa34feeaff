package test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What a path carried stays with it, however another file comes to its place: by
// rsync's temporary file, by mv of an image, and by mv of a file that is still
// being written.
func TestRenameOverKeepsWhatThePathCarried(t *testing.T) {
	ways := map[string]string{
		"rsync":         `rsync -a "$0" "$1/$2"`,
		"mv":            `cp "$0" "$1/$2.tmp" && mv "$1/$2.tmp" "$1/$2"`,
		"mv of a draft": `exec 3> "$1/$2.tmp"; cat "$0" >&3; mv "$1/$2.tmp" "$1/$2"; exec 3>&-`,
	}
	onEach(t, func(t *testing.T, s service) {
		behind := mountOn(t, s, "--writeback")
		m := mountOn(t, s)
		for way, script := range ways {
			for _, visibility := range []image.Visibility{image.VisibilityShared, image.VisibilityCommunity, image.VisibilityPrivate} {
				m.carries(way+" "+string(visibility), script, visibility)
			}
			behind.carries(way+" behind", script, image.VisibilityShared)
		}
	})
}

// carries runs a script that puts a file ($0) over an image ($2 in the directory $1),
// and looks at what has become of what that one carried.
func (m *mount) carries(way, script string, visibility image.Visibility) {
	t, s := m.t, m.service
	t.Helper()
	name := s.cleanName(t, "carried by "+way+".img")
	s.cleanName(t, name+".tmp")
	old := s.upload(t, image.New{
		Name: name, Visibility: visibility, Tags: []string{"gold"}, MinDisk: 3, MinRAM: 64,
		Properties: map[string]string{"hw_disk_bus": "scsi", "owner_specified.openstack.md5": "x"},
	}, noise(70, 5000))
	shared := visibility == image.VisibilityShared
	if shared {
		if err := s.api.AddMember(t.Context(), old.ID, "others"); err != nil {
			t.Fatal(err)
		}
	}
	data := noise(71, 70000)
	run(t, "bash", "-ec", script, file(t, "source", data), m.dir, name)
	m.settled()
	got := s.one(t, name)
	holds(t, got, data)
	if got.ID == old.ID || got.Visibility != visibility || !slices.Equal(got.Tags, old.Tags) || got.MinDisk != 3 || got.MinRAM != 64 ||
		got.Properties["hw_disk_bus"] != "scsi" || got.Properties["owner_specified.openstack.md5"] != "" || got.Hidden {
		t.Errorf("%s: it became %+v", way, got)
	}
	if shared {
		members, err := s.api.Members(t.Context(), got.ID)
		if err != nil || len(members) != 1 || members[0].Project != "others" {
			t.Errorf("%s: it is shared with %v, %v", way, members, err)
		}
	}
	if left := s.images(t, name+".tmp"); len(left) != 0 {
		t.Errorf("%s left %+v", way, left)
	}
}

// What must not be overwritten must not be renamed over either.
func TestRenameOverIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		signed, other := s.cleanName(t, "signed.img"), s.cleanName(t, "unsigned.img")
		old := s.upload(t, image.New{Name: signed, Properties: map[string]string{"img_signature_hash_method": "SHA-256"}}, []byte("signed"))
		run(t, "cp", file(t, other, []byte("x")), m.path(other))
		if err := syscall.Rename(m.path(other), m.path(signed)); !errors.Is(err, syscall.EPERM) {
			t.Errorf("rename over: %v, want EPERM", err)
		}
		holds(t, s.one(t, signed), []byte("signed"))
		if s.one(t, signed).ID != old.ID || len(s.images(t, other)) != 1 {
			t.Error("a refused rename changed something")
		}
	})
}

// What an admin puts in the place of another project's image is that project's, and
// what is replaced lies in that project's trash.
func TestRenameOverAnotherProjectsImage(t *testing.T) {
	s := services[1]
	m := mountOn(t, service{name: "admin", args: []string{"--cloud", "admin"}, api: s.api}, "--write-all-projects", "--trash", "1h")
	for _, visibility := range []image.Visibility{image.VisibilityPrivate, image.VisibilityShared} {
		for way, script := range map[string]string{
			"mv": `cp "$0" "$1/$2.tmp" && mv "$1/$2.tmp" "$1/$2"`,
			"cp": `cp "$0" "$1/$2"`,
		} {
			name := s.cleanName(t, "theirs "+way+" "+string(visibility)+".img")
			old := s.upload(t, image.New{Name: name, Visibility: visibility}, noise(74, 5000))
			if visibility == image.VisibilityShared {
				if err := s.api.AddMember(t.Context(), old.ID, "others"); err != nil {
					t.Fatal(err)
				}
			}
			data := noise(75, 70000)
			run(t, "bash", "-ec", script, file(t, "source", data), m.dir, name)
			m.settled()
			got := s.shown(t, name)
			holds(t, got, data)
			if got.Owner != s.api.Project() || got.Visibility != visibility {
				t.Errorf("%s over a %s image: it became %+v", way, visibility, got)
			}
			if lying, why := s.lying(t, name); lying.ID != old.ID || why.By != got.ID || lying.Owner != got.Owner {
				t.Errorf("%s over a %s image: in the trash lies %+v", way, visibility, lying)
			}
			if visibility == image.VisibilityShared {
				if members, err := s.api.Members(t.Context(), got.ID); err != nil || len(members) != 1 || members[0].Project != "others" {
					t.Errorf("%s: it is shared with %v, %v", way, members, err)
				}
			}
		}
	}
}
