package test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// chosen mounts with options and checks which of the images (by name) show: by looking
// up each, and then by listing. .by-id reaches all of them. What ls shows without a mount
// is the same.
func chosen(t *testing.T, s service, prefix string, images map[string]string, want []string, args ...string) {
	t.Helper()
	m := mountOn(t, s, args...)
	var found []string
	for name, id := range images {
		if _, err := os.Stat(m.path(name)); err == nil {
			found = append(found, name)
		}
		if _, err := os.Stat(m.path(filepath.Join(".by-id", id))); err != nil {
			t.Errorf("%v: %s by its id: %v", args, name, err)
		}
	}
	slices.Sort(found)
	slices.Sort(want)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("%v: looked up (-want +got):\n%s", args, diff)
	}
	listed, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, e := range listed { // in order
		if strings.HasPrefix(e.Name(), prefix) {
			shown = append(shown, e.Name())
		}
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("%v: listed (-want +got):\n%s", args, diff)
	}
	printed := slices.Sorted(maps.Keys(objects(t, prefix, slices.Concat(args, s.args)...)))
	if diff := cmp.Diff(want, printed); diff != "" {
		t.Errorf("imagefs ls %v (-want +got):\n%s", args, diff)
	}
}

// Each option shows what matches it, and nothing else.
func TestFilters(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		const p = "filter-"
		images := map[string]string{}
		upload := func(n image.New) string {
			name := n.Name
			n.Name = p + name
			images[n.Name] = s.upload(t, n, noise(201, 1000)).ID
			return images[n.Name]
		}
		upload(image.New{Name: "plain"})
		upload(image.New{Name: "private", Visibility: image.VisibilityPrivate})
		upload(image.New{Name: "community", Visibility: image.VisibilityCommunity})
		upload(image.New{Name: "tagged", Tags: []string{"filter a", "filter-b"}})
		upload(image.New{Name: "half", Tags: []string{"filter a"}})
		upload(image.New{Name: "data.iso", DiskFormat: "iso", ContainerFormat: "bare"})
		upload(image.New{Name: "hidden", Hidden: true})
		trashed := upload(image.New{Name: "trashed"})
		queued, err := s.api.Create(t.Context(), image.New{Name: p + "queued", Visibility: image.VisibilityPrivate})
		if err != nil {
			t.Fatal(err)
		}
		s.cleanUp(t, queued.ID)
		images[queued.Name] = queued.ID
		trash := mountOn(t, s, "--trash", "1h")
		if err := os.Remove(trash.path(p + "trashed")); err != nil {
			t.Fatal(err)
		}
		if img, err := s.api.Get(t.Context(), trashed); err != nil || !img.Hidden {
			t.Fatalf("not in the trash: %+v, %v", img, err)
		}
		names := func(list ...string) []string {
			for i := range list {
				list[i] = p + list[i]
			}
			return list
		}
		shared := names("plain", "tagged", "half", "data.iso") // the default visibility
		usual := append(names("private", "queued", "community"), shared...)
		for _, tc := range []struct {
			args []string
			want []string
		}{
			{nil, usual},
			{[]string{"--visibility", "private"}, names("private", "queued")},
			{[]string{"--visibility", "community"}, names("community")},
			{[]string{"--tag", "filter a"}, names("tagged", "half")},
			{[]string{"--tag", "filter a", "--tag", "filter-b"}, names("tagged")},
			{[]string{"--name", "filter-[dp]*"}, names("data.iso", "plain", "private")},
			{[]string{"--status", "queued"}, names("queued")},
			{[]string{"--format", "iso", "--format", "qcow2"}, names("data.iso")},
			{[]string{"--hidden"}, append(names("hidden"), usual...)},
			{[]string{"--owner", "0123456789abcdef0123456789abcdef"}, nil},
		} {
			chosen(t, s, p, images, slices.Clone(tc.want), tc.args...)
		}
	})
}

// What another project offers: shares by their status, community images only when they
// are asked for.
func TestFiltersOfForeignImages(t *testing.T) {
	s := services[1] // the embedded server knows no other projects without Keystone
	api, err := dial(client.Options{Cloud: "demo2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	const p = "foreign-"
	foreign := service{name: "demo2", args: []string{"--cloud", "demo2"}, api: api}
	images := map[string]string{}
	for _, name := range []string{"pending", "accepted", "rejected"} {
		img := foreign.upload(t, image.New{Name: p + name, Visibility: image.VisibilityShared}, noise(202, 1000))
		if err := api.AddMember(t.Context(), img.ID, s.api.Project()); err != nil {
			t.Fatal(err)
		}
		images[img.Name] = img.ID
	}
	openstack(t, "image", "set", "--accept", images[p+"accepted"])
	openstack(t, "image", "set", "--reject", images[p+"rejected"])
	images[p+"community"] = foreign.upload(t, image.New{Name: p + "community", Visibility: image.VisibilityCommunity}, noise(203, 1000)).ID
	images[p+"own"] = s.upload(t, image.New{Name: p + "own", Visibility: image.VisibilityPrivate}, noise(204, 1000)).ID
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"--member-status", "accepted"}, []string{p + "accepted", p + "own"}},
		{[]string{"--member-status", "pending"}, []string{p + "own", p + "pending"}},
		{[]string{"--member-status", "all"}, []string{p + "accepted", p + "own", p + "pending", p + "rejected"}},
		{[]string{"--community"}, []string{p + "accepted", p + "community", p + "own"}},
		{[]string{"--visibility", "community"}, []string{p + "community"}},
		{[]string{"--owner", api.Project()}, []string{p + "accepted"}},
		{[]string{"--owner", s.api.Project()}, []string{p + "own"}},
	} {
		chosen(t, s, p, images, tc.want, tc.args...)
	}
}

// A file shows as long as it is open; then the options decide, and the kernel knows.
func TestFiltersAndChanges(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		const ready = "changing.img"
		iso := image.New{Name: ready, Tags: []string{"ready"}, DiskFormat: "iso", ContainerFormat: "bare"}
		s.upload(t, iso, noise(205, 1000))
		m := mountOn(t, s, "--tag", "ready", "--new-tag", "ready", "--name", "chang*", "--format", "iso", "--list-ttl", "100ms")
		if failed := fails(t, "touch", m.path("another.iso")); !strings.Contains(failed.stderr, "Operation not permitted") {
			t.Errorf("a name that is not shown: %s", failed.stderr)
		}
		f, err := os.Create(m.path(s.cleanName(t, "changing.new")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(noise(206, 1000)); err != nil {
			t.Fatal(err)
		}
		if out := run(t, "ls", m.dir); out != "changing.img\nchanging.new\n" {
			t.Errorf("while it is written: %q", out)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		m.until("the new file no longer shows", func() bool {
			_, err := os.Stat(m.path("changing.new"))
			return os.IsNotExist(err)
		})
		id := s.one(t, "changing.new").ID // its bytes are no ISO image's
		if !strings.Contains(m.log.String(), "the new image does not show") || !strings.Contains(m.log.String(), id) {
			t.Error("the log does not say so")
		}
		if _, err := os.Stat(m.path(".by-id/" + id)); err != nil {
			t.Error(err)
		}
		late := s.upload(t, image.New{Name: "changing too", DiskFormat: "iso", ContainerFormat: "bare"}, noise(207, 1000))
		if _, err := s.api.Update(t.Context(), late.ID, []image.Change{{Field: "tags", Value: []string{"ready"}}}); err != nil {
			t.Fatal(err)
		}
		m.until("one shows that got the tag", func() bool { return run(t, "ls", m.dir) == "changing too\nchanging.img\n" })
		if _, err := s.api.Update(t.Context(), late.ID, []image.Change{{Field: "tags", Value: []string{"other"}}}); err != nil {
			t.Fatal(err)
		}
		m.until("it goes with the tag", func() bool { return run(t, "ls", m.dir) == "changing.img\n" })
		if _, err := os.Stat(m.path("changing too")); !os.IsNotExist(err) {
			t.Errorf("it is found: %v", err)
		}
		run(t, "mv", m.path(ready), m.path(s.cleanName(t, "other.img")))
		for _, gone := range []string{ready, "other.img"} {
			m.until(gone+" is gone", func() bool {
				_, err := os.Stat(m.path(gone))
				return os.IsNotExist(err)
			})
		}
		if out := run(t, "ls", m.dir); out != "" {
			t.Errorf("after another was renamed: %q", out)
		}
	})
}
