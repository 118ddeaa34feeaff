package test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// What others do while a file is uploaded.
func TestOvertakenUploads(t *testing.T) {
	p, s := newSpoiler(t, embedded(t))
	overtaken(t, mountOn(t, s), p)
}

// overtaken closes files on a mount of a spoiler, and has others come before their upload.
func overtaken(t *testing.T, m *mount, p *spoiler) {
	s := m.service
	during := func(t *testing.T, name string, then func()) {
		t.Helper()
		data := noise(300, 50_000)
		p.spoil(name, 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			then()
			next.ServeHTTP(w, r)
		})
		if err := os.WriteFile(m.path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		if p.mend(name) != 1 {
			t.Error("nothing has come before the upload")
		}
	}
	t.Run("an empty image is filled", func(t *testing.T) {
		name, theirs := s.cleanName(t, "filled by others.img"), noise(301, 70_000)
		if err := os.WriteFile(m.path(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		m.until("the empty image", func() bool { return len(s.images(t, name)) == 1 })
		empty := s.one(t, name)
		during(t, name, func() {
			if err := s.api.Upload(t.Context(), empty.ID, int64(len(theirs)), func() io.Reader { return bytes.NewReader(theirs) }); err != nil {
				t.Error(err)
			}
		})
		both := s.images(t, name)
		if len(both) != 2 {
			t.Fatalf("%d images: %+v", len(both), both)
		}
		for _, img := range both {
			if img.ID == empty.ID {
				holds(t, img, theirs)
			} else {
				holds(t, img, noise(300, 50_000))
			}
			if img.Hidden || img.Properties[image.PropertyDraft] != "" {
				t.Errorf("record %+v", img)
			}
		}
	})
	t.Run("the image to replace is changed", func(t *testing.T) {
		name := s.cleanName(t, "changed by others.img")
		old := s.upload(t, image.New{
			Name: name, Visibility: image.VisibilityShared, Tags: []string{"a", "b"}, Properties: map[string]string{"os_distro": "x", "hw_disk_bus": "ide"},
		}, []byte("old"))
		for _, project := range []string{"stays", "goes"} {
			if err := s.api.AddMember(t.Context(), old.ID, project); err != nil {
				t.Fatal(err)
			}
		}
		during(t, name, func() {
			_, err := s.api.Update(t.Context(), old.ID, []image.Change{
				{Field: "tags", Value: []string{"b", "c"}}, {Field: "min_ram", Value: int64(64)},
				{Field: "os_distro", Property: true, Value: "y"}, {Field: "hw_disk_bus", Property: true},
			})
			if err == nil {
				err = s.api.RemoveMember(t.Context(), old.ID, "goes")
			}
			if err == nil {
				err = s.api.AddMember(t.Context(), old.ID, "comes")
			}
			if err != nil {
				t.Error(err)
			}
			time.Sleep(1100 * time.Millisecond) // a look is believed for a second
		})
		got := s.one(t, name)
		holds(t, got, noise(300, 50_000))
		slices.Sort(got.Tags)
		if !slices.Equal(got.Tags, []string{"b", "c"}) || got.MinRAM != 64 || got.Properties["os_distro"] != "y" || got.Properties["hw_disk_bus"] != "" {
			t.Errorf("it became %+v", got)
		}
		members, err := s.api.Members(t.Context(), got.ID)
		var projects []string
		for _, member := range members {
			projects = append(projects, member.Project)
		}
		if slices.Sort(projects); err != nil || !slices.Equal(projects, []string{"comes", "stays"}) {
			t.Errorf("it is shared with %v, %v", projects, err)
		}
	})
	t.Run("the image to replace is withdrawn", func(t *testing.T) {
		name := s.cleanName(t, "withdrawn by others.img")
		old := s.upload(t, image.New{Name: name, Visibility: image.VisibilityCommunity}, []byte("old"))
		during(t, name, func() {
			if _, err := s.api.Update(t.Context(), old.ID, []image.Change{{Field: "visibility", Value: "private"}}); err != nil {
				t.Error(err)
			}
		})
		if got := s.one(t, name); got.ID == old.ID || got.Visibility != image.VisibilityPrivate {
			t.Errorf("it became %+v", got)
		}
	})
}
