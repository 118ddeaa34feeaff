package client

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

func testCreateFields(t *testing.T, s service) {
	n := image.New{
		ID: uuid.NewString(), Name: randomName() + " a/b ü中 \"x\" %41", DiskFormat: "qcow2", ContainerFormat: "bare",
		Visibility: image.VisibilityPrivate, Hidden: true, MinDisk: 3, MinRAM: 512,
		Tags: []string{"b", "a", "ü x"}, Properties: map[string]string{"a/b": "1", "t~x": "", "hw_disk_bus": "scsi", "imagefs_draft": "d"},
	}
	s.create(t, n)
	img := s.get(t, n.ID)
	slices.Sort(img.Tags)
	got := image.New{ID: img.ID, Name: img.Name, DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat,
		Visibility: img.Visibility, Hidden: img.Hidden, MinDisk: img.MinDisk, MinRAM: img.MinRAM, Tags: img.Tags, Properties: img.Properties}
	slices.Sort(n.Tags)
	maps.DeleteFunc(got.Properties, func(k, _ string) bool { return strings.HasPrefix(k, "owner_specified") })
	if diff := cmp.Diff(n, got); diff != "" {
		t.Error(diff)
	}
	if img.Status != image.StatusQueued || img.Size != 0 || img.HasData() {
		t.Errorf("record %+v", img)
	}
	_, err := s.Create(t.Context(), image.New{Name: randomName(), Properties: map[string]string{"status": "active"}})
	wantKind(t, err, image.Rejected)
	_, err = s.Create(t.Context(), image.New{Name: randomName(), DiskFormat: "floppy", ContainerFormat: "bare"})
	wantKind(t, err, image.Rejected)
}

func (s service) list(t *testing.T, f Filter) []image.Image {
	t.Helper()
	var all []image.Image
	if _, err := s.List(t.Context(), f, func(page []image.Image) error { all = append(all, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(images []image.Image) []string {
	var all []string
	for _, i := range images {
		all = append(all, i.ID)
	}
	slices.Sort(all)
	return all
}

func testListing(t *testing.T, s service) {
	tag := randomName()
	var want []string
	for range 7 {
		want = append(want, s.create(t, image.New{Tags: []string{tag}}).ID)
	}
	slices.Sort(want)
	if got := ids(s.list(t, Filter{Tags: []string{tag}})); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	all := ids(s.list(t, Filter{}))
	for _, id := range want {
		if !slices.Contains(all, id) {
			t.Errorf("%s is not in the listing", id)
		}
	}
	// The same in pages of two, by the service's own links.
	seen, pages := []string(nil), 0
	transports := newTransports(s.options, nil)
	defer transports.closeIdle()
	c := newClient(s.options, transports, s.session)
	c.base, c.plain.Transport = s.base, &smallPages{size: "2", next: c.plain.Transport}
	if _, err := c.List(t.Context(), Filter{Tags: []string{tag}}, func(page []image.Image) error {
		pages++
		seen = append(seen, ids(page)...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(seen); !slices.Equal(seen, want) || pages < 4 {
		t.Errorf("%d pages with %v, want %v", pages, seen, want)
	}
	stop := errors.New("enough")
	if _, err := s.List(t.Context(), Filter{}, func([]image.Image) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v instead of the error of yield", err)
	}
	if got := s.list(t, Filter{Tags: []string{tag}, Statuses: []image.Status{image.StatusActive}}); len(got) != 0 {
		t.Errorf("queued images pass for active: %v", ids(got))
	}
}

// smallPages asks for few records where a thousand were wanted.
type smallPages struct {
	size   string
	next   http.RoundTripper
	before func(marker string) // called before each page after the first, if not nil
}

func (p *smallPages) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	q := req.URL.Query()
	q.Set("limit", p.size)
	req.URL.RawQuery = q.Encode()
	if marker := q.Get("marker"); marker != "" && p.before != nil {
		p.before(marker)
	}
	return p.next.RoundTrip(req)
}

func testNameFilter(t *testing.T, s service) {
	base := randomName()
	for _, name := range []string{base + ":in:x", base + ",y", base + `"q"`, base + " b/%2F", base + "&a=b", base + "ü"} {
		want := s.create(t, image.New{Name: name})
		if got := ids(s.list(t, Filter{Name: &name})); !slices.Equal(got, []string{want.ID}) {
			t.Errorf("%q: listed %v, want %s", name, got, want.ID)
		}
	}
	none := base
	if got := s.list(t, Filter{Name: &none}); len(got) != 0 {
		t.Errorf("%q: listed %v", none, ids(got))
	}
}

func testProperties(t *testing.T, s service) {
	img := s.create(t, image.New{Properties: map[string]string{"old": "1", "gone/x": "2"}})
	got, err := s.Update(t.Context(), img.ID, []image.Change{
		{Field: "a/b~c~1", Property: true, Value: "new"},
		{Field: "old", Property: true, Value: "changed"},
		{Field: "gone/x", Property: true},
		{Field: "never there", Property: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a/b~c~1": "new", "old": "changed"}
	if diff := cmp.Diff(want, got.Properties); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, s.get(t, img.ID).Properties); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Update(t.Context(), img.ID, []image.Change{{Field: "never there", Property: true}}); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	_, err = s.Update(t.Context(), img.ID, []image.Change{{Field: "name", Property: true, Value: "x"}})
	wantKind(t, err, image.Rejected)
	_, err = s.Update(t.Context(), img.ID, []image.Change{{Field: "os_glance_x", Property: true, Value: "x"}})
	wantKind(t, err, image.Forbidden)
}

func testFields(t *testing.T, s service) {
	img := s.create(t, image.New{Tags: []string{"one"}})
	name := randomName() + "/renamed"
	got, err := s.Update(t.Context(), img.ID, []image.Change{
		{Field: "name", Value: name}, {Field: "tags", Value: []string{"two", "three"}},
		{Field: "visibility", Value: "private"}, {Field: "min_ram", Value: int64(7)}, {Field: "os_hidden", Value: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got.Tags)
	if got.Name != name || !slices.Equal(got.Tags, []string{"three", "two"}) || got.Visibility != image.VisibilityPrivate || got.MinRAM != 7 || !got.Hidden {
		t.Errorf("record %+v", got)
	}
	if got, err = s.Update(t.Context(), img.ID, []image.Change{{Field: "tags", Value: []string(nil)}, {Field: "name"}}); err != nil {
		t.Fatal(err)
	}
	if len(got.Tags) != 0 || got.Name != "" {
		t.Errorf("record %+v", got)
	}
	_, err = s.Update(t.Context(), img.ID, []image.Change{{Field: "name", Value: strings.Repeat("x", 256)}})
	wantKind(t, err, image.Rejected)
	_, err = s.Update(t.Context(), uuid.NewString(), []image.Change{{Field: "name", Value: "x"}})
	wantKind(t, err, image.NotFound)
}

func testHidden(t *testing.T, s service) {
	img := s.create(t, image.New{Hidden: true})
	if got := s.list(t, Filter{Name: &img.Name}); len(got) != 0 {
		t.Errorf("the hidden image is listed")
	}
	if got := ids(s.list(t, Filter{Name: &img.Name, Hidden: true})); !slices.Equal(got, []string{img.ID}) {
		t.Errorf("listed %v", got)
	}
}

func testProtected(t *testing.T, s service) {
	img := s.create(t, image.New{Protected: true})
	wantKind(t, s.Delete(t.Context(), img.ID), image.Protected)
	if _, err := s.Update(t.Context(), img.ID, []image.Change{{Field: "protected", Value: false}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
}

func testMissing(t *testing.T, s service) {
	for _, id := range []string{uuid.NewString(), "../../etc", "", "x"} {
		_, err := s.Get(t.Context(), id)
		wantKind(t, err, image.NotFound)
		wantKind(t, s.Delete(t.Context(), id), image.NotFound)
		wantKind(t, s.Upload(t.Context(), id, 1, reader([]byte("x"))), image.NotFound)
		_, err = s.Update(t.Context(), id, []image.Change{{Field: "p", Property: true, Value: "x"}})
		wantKind(t, err, image.NotFound)
		_, err = s.OpenSpan(t.Context(), image.Image{ID: id, Size: 10, Status: image.StatusActive}, image.Span{Len: 5})
		wantKind(t, err, image.NotFound)
		_, err = s.Members(t.Context(), id)
		wantKind(t, err, image.NotFound)
	}
}

func testDuplicate(t *testing.T, s service) {
	img := s.create(t, image.New{})
	_, err := s.Create(t.Context(), image.New{ID: img.ID, Name: img.Name, DiskFormat: "raw", ContainerFormat: "bare"})
	wantKind(t, err, image.Exists)
}

func testMembers(t *testing.T, s service) {
	img := s.create(t, image.New{Visibility: image.VisibilityShared})
	if got, err := s.Members(t.Context(), img.ID); err != nil || len(got) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	project := strings.ReplaceAll(uuid.NewString(), "-", "")
	for range 2 { // the second is success, too
		if err := s.AddMember(t.Context(), img.ID, project); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Members(t.Context(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]image.Member{{Project: project, Status: "pending"}}, got); diff != "" {
		t.Error(diff)
	}
	for range 2 { // the second is success, too
		if err := s.RemoveMember(t.Context(), img.ID, project); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Members(t.Context(), img.ID); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func testUsage(t *testing.T, s service) {
	usage, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range usage {
		if u.Limit < -1 || u.Used < 0 {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func testConcurrentUpdates(t *testing.T, s service) {
	img := s.create(t, image.New{})
	want := make(map[string]string)
	var wg sync.WaitGroup
	for g := range 8 {
		key := fmt.Sprintf("p%d", g)
		want[key] = "x"
		wg.Go(func() {
			if _, err := s.Update(t.Context(), img.ID, []image.Change{{Field: key, Property: true, Value: "x"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(want, s.get(t, img.ID).Properties); diff != "" {
		t.Error(diff)
	}
}
