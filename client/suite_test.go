package client

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// cloudsVariable names a clouds.yaml with the clouds demo and admin, of a real
// Keystone and Glance.
const cloudsVariable = "IMAGEFS_TEST_CLOUDS"

// service is an Image service that the suite runs against.
type service struct {
	*Client
	admin  *Client
	header map[string]string // makes raw requests an admin's
	// wrong are options with credentials that the service refuses.
	wrong       Options
	wrongClouds string // the clouds.yaml that they need, if any
	// early: an upload is refused before its data is taken.
	early bool
}

func TestEmbedded(t *testing.T) {
	server, err := imageserver.New(imageserver.Options{Dir: t.TempDir(), Token: "secret", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	c := dial(t, Options{Endpoint: listener.URL, Token: "secret"})
	suite(t, service{Client: c, admin: c, header: map[string]string{"X-Roles": "admin"},
		wrong: Options{Endpoint: listener.URL, Token: "nonsense"}})
}

func TestReal(t *testing.T) {
	path := os.Getenv(cloudsVariable)
	if path == "" {
		t.Fatalf("$%s is not set: `make test` starts a real Keystone and Glance and sets it to their clouds.yaml", cloudsVariable)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", path)
	t.Setenv("OS_CLOUD", "demo")
	c := dial(t, Options{})
	admin := dial(t, Options{Cloud: "admin"})
	wrong := strings.Replace(string(must(os.ReadFile(path))), "password: demopw", "password: nonsense", 1)
	other := t.TempDir() + "/clouds.yaml"
	if err := os.WriteFile(other, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	suite(t, service{Client: c, admin: admin, wrong: Options{Cloud: "demo"}, wrongClouds: other, early: true})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func dial(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func suite(t *testing.T, s service) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, service)
	}{
		{"Identity", testIdentity},
		{"WrongCredentials", testWrongCredentials},
		{"RoundTrip", testRoundTrip},
		{"CreateFields", testCreateFields},
		{"Spans", testSpans},
		{"Empty", testEmpty},
		{"Queued", testQueued},
		{"Listing", testListing},
		{"NameFilter", testNameFilter},
		{"Properties", testProperties},
		{"Fields", testFields},
		{"Hidden", testHidden},
		{"Protected", testProtected},
		{"Missing", testMissing},
		{"Duplicate", testDuplicate},
		{"Members", testMembers},
		{"Usage", testUsage},
		{"Deactivated", testDeactivated},
		{"UploadTwice", testUploadTwice},
		{"ShortUpload", testShortUpload},
		{"ConcurrentReaders", testConcurrentReaders},
		{"ConcurrentUpdates", testConcurrentUpdates},
		{"Cancelled", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func randomName() string { return "client-test-" + uuid.NewString()[:8] }

// create makes a record that the test's end deletes.
func (s service) create(t *testing.T, n image.New) image.Image {
	t.Helper()
	if n.Name == "" {
		n.Name = randomName()
	}
	if n.DiskFormat == "" {
		n.DiskFormat, n.ContainerFormat = "raw", "bare"
	}
	img, err := s.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Delete(context.Background(), img.ID); err != nil && !image.Is(err, image.NotFound) {
			t.Errorf("delete at the end: %v", err)
		}
	})
	return img
}

// with makes an image with data.
func (s service) with(t *testing.T, data []byte) image.Image {
	t.Helper()
	img := s.create(t, image.New{})
	if err := s.Upload(t.Context(), img.ID, int64(len(data)), reader(data)); err != nil {
		t.Fatal(err)
	}
	return s.get(t, img.ID)
}

func (s service) get(t *testing.T, id string) image.Image {
	t.Helper()
	img, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func reader(data []byte) func() io.Reader {
	return func() io.Reader { return bytes.NewReader(data) }
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1, 2, 3})
	_, _ = rng.Read(data) // never fails
	return data
}

func wantKind(t *testing.T, err error, k image.Kind) {
	t.Helper()
	if !image.Is(err, k) {
		t.Errorf("error %v is of kind %v, want %v", err, image.KindOf(err), k)
	}
	var e *image.Error
	if err != nil && !errors.As(err, &e) {
		t.Errorf("%v is no *image.Error", err)
	}
}

func testIdentity(t *testing.T, s service) {
	if !strings.HasSuffix(s.Service(), "/v2") || strings.Contains(s.Service(), "@") {
		t.Errorf("service %q", s.Service())
	}
	img := s.create(t, image.New{})
	if s.Project() != "" && img.Owner != s.Project() {
		t.Errorf("owner %q, project %q", img.Owner, s.Project())
	}
}

func testWrongCredentials(t *testing.T, s service) {
	if s.wrongClouds != "" {
		t.Setenv("OS_CLIENT_CONFIG_FILE", s.wrongClouds)
	}
	_, err := Dial(t.Context(), s.wrong)
	wantKind(t, err, image.Credentials)
	if err != nil && strings.Contains(err.Error(), "nonsense") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

func testRoundTrip(t *testing.T, s service) {
	data := randomBytes(3<<20 + 17)
	img := s.with(t, data)
	md, sha := md5.Sum(data), sha512.Sum512(data)
	if img.Status != image.StatusActive || img.Size != int64(len(data)) || img.DiskFormat != "raw" ||
		img.Checksum != hex.EncodeToString(md[:]) || img.HashAlgo != "sha512" || img.HashValue != hex.EncodeToString(sha[:]) {
		t.Errorf("record %+v", img)
	}
	if img.CreatedAt.IsZero() || img.UpdatedAt.Before(img.CreatedAt) {
		t.Errorf("times %v, %v", img.CreatedAt, img.UpdatedAt)
	}
	body, err := s.OpenWhole(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, body); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, not those that went", len(got))
	}
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), img.ID)
	wantKind(t, err, image.NotFound)
	_, err = s.OpenWhole(t.Context(), img)
	wantKind(t, err, image.NotFound)
}

func readAll(t *testing.T, body io.ReadCloser) []byte {
	t.Helper()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	return data
}

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

func testSpans(t *testing.T, s service) {
	data := randomBytes(300_001)
	img := s.with(t, data)
	size := img.Size
	for _, sp := range []image.Span{
		{Off: 0, Len: 1}, {Off: 0, Len: size}, {Off: 0, Len: 4096}, {Off: 1, Len: size - 1}, {Off: size - 1, Len: 1},
		{Off: 4095, Len: 4097}, {Off: 65536, Len: 131072}, {Off: 0, Len: 0}, {Off: size, Len: 0}, {Off: 5, Len: 0},
	} {
		body, err := s.OpenSpan(t.Context(), img, sp)
		if err != nil {
			t.Fatalf("%+v: %v", sp, err)
		}
		if got := readAll(t, body); !bytes.Equal(got, data[sp.Off:sp.End()]) {
			t.Errorf("%+v: %d other bytes", sp, len(got))
		}
	}
	for _, sp := range []image.Span{{Off: -1, Len: 2}, {Off: 0, Len: size + 1}, {Off: size, Len: 1}, {Off: 1, Len: -1}} {
		_, err := s.OpenSpan(t.Context(), img, sp)
		wantKind(t, err, image.Other)
	}
	// A record that says more than the service has must not yield zeros.
	larger := img
	larger.Size += 100
	_, err := s.OpenSpan(t.Context(), larger, image.Span{Off: 0, Len: 10})
	wantKind(t, err, image.Corrupt)
	_, err = s.OpenSpan(t.Context(), larger, image.Span{Off: size, Len: 10})
	wantKind(t, err, image.Corrupt)
	_, err = s.OpenWhole(t.Context(), larger)
	wantKind(t, err, image.Corrupt)
}

func testEmpty(t *testing.T, s service) {
	img := s.with(t, nil)
	if img.Status != image.StatusActive || img.Size != 0 {
		t.Fatalf("record %+v", img)
	}
	for _, open := range []func() (io.ReadCloser, error){
		func() (io.ReadCloser, error) { return s.OpenWhole(t.Context(), img) },
		func() (io.ReadCloser, error) { return s.OpenSpan(t.Context(), img, image.Span{}) },
	} {
		body, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, body); len(got) != 0 {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func testQueued(t *testing.T, s service) {
	img := s.create(t, image.New{})
	_, err := s.OpenWhole(t.Context(), img)
	wantKind(t, err, image.NoData)
	// Even if the record was thought to be active.
	img.Status, img.Size = image.StatusActive, 10
	_, err = s.OpenWhole(t.Context(), img)
	wantKind(t, err, image.Corrupt)
}

func (s service) list(t *testing.T, f Filter) []image.Image {
	t.Helper()
	var all []image.Image
	if err := s.List(t.Context(), f, func(page []image.Image) error { all = append(all, page...); return nil }); err != nil {
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
	c.base, c.plain.Transport = s.base, &smallPages{next: c.plain.Transport}
	if err := c.List(t.Context(), Filter{Tags: []string{tag}}, func(page []image.Image) error {
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
	if err := s.List(t.Context(), Filter{}, func([]image.Image) error { return stop }); err != stop {
		t.Errorf("%v instead of the error of yield", err)
	}
	if got := s.list(t, Filter{Tags: []string{tag}, Status: image.StatusActive}); len(got) != 0 {
		t.Errorf("queued images pass for active: %v", ids(got))
	}
}

// smallPages asks for two records where a thousand were wanted.
type smallPages struct{ next http.RoundTripper }

func (p *smallPages) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	q := req.URL.Query()
	q.Set("limit", "2")
	req.URL.RawQuery = q.Encode()
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

func testDeactivated(t *testing.T, s service) {
	img := s.with(t, randomBytes(1000))
	resp, err := s.admin.send(t.Context(), &request{op: "deactivate", image: img.ID, method: http.MethodPost,
		path: "/images/" + img.ID + "/actions/deactivate", header: s.header, ok: []int{http.StatusNoContent}})
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	now := s.get(t, img.ID)
	if now.Status != image.StatusDeactivated {
		t.Fatalf("status %s", now.Status)
	}
	_, err = s.OpenSpan(t.Context(), now, image.Span{Len: 10})
	wantKind(t, err, image.Forbidden)
	_, err = s.OpenWhole(t.Context(), now)
	wantKind(t, err, image.Forbidden)
}

func testUploadTwice(t *testing.T, s service) {
	img := s.with(t, []byte("first"))
	// Large, so that it is refused before it is sent.
	large := &countingReader{left: 64 << 20}
	err := s.Upload(t.Context(), img.ID, 64<<20, func() io.Reader { return large })
	wantKind(t, err, image.Busy)
	if s.early && large.taken != 0 {
		t.Errorf("%d bytes were sent before the refusal was heard", large.taken)
	}
	wantKind(t, s.Upload(t.Context(), img.ID, 5, reader([]byte("again"))), image.Busy)
}

// countingReader yields zeros.
type countingReader struct{ left, taken int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	n := min(int64(len(p)), r.left)
	r.left -= n
	r.taken += n
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	return int(n), nil
}

func testShortUpload(t *testing.T, s service) {
	img := s.create(t, image.New{})
	err := s.Upload(t.Context(), img.ID, 1000, reader(make([]byte, 10)))
	if err == nil {
		t.Error("a short upload is accepted")
	}
	broken := errors.New("the disk is gone")
	img = s.create(t, image.New{})
	err = s.Upload(t.Context(), img.ID, 1000, func() io.Reader {
		return io.MultiReader(strings.NewReader("some"), &failingReader{broken})
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v does not tell why", err)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func testConcurrentReaders(t *testing.T, s service) {
	data := randomBytes(1 << 20)
	img := s.with(t, data)
	var wg sync.WaitGroup
	for g := range 24 { // three times the streams
		wg.Go(func() {
			for k := range 4 {
				off := int64((g*4 + k) * 10_000)
				body, err := s.OpenSpan(t.Context(), img, image.Span{Off: off, Len: 9_000})
				if err != nil {
					t.Error(err)
					return
				}
				if got := readAll(t, body); !bytes.Equal(got, data[off:off+9_000]) {
					t.Errorf("other bytes at %d", off)
				}
			}
		})
	}
	wg.Wait()
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

func testCancelled(t *testing.T, s service) {
	img := s.with(t, randomBytes(8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	body, err := s.OpenWhole(ctx, img)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, body)
	wantKind(t, err, image.Interrupted)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	_, err = s.Get(ctx, img.ID)
	wantKind(t, err, image.Interrupted)
	wantKind(t, s.List(ctx, Filter{}, nil), image.Interrupted)
	_, err = s.Create(ctx, image.New{Name: randomName()})
	wantKind(t, err, image.Interrupted)
	_, err = s.OpenSpan(ctx, img, image.Span{Len: 1})
	wantKind(t, err, image.Interrupted)
	wantKind(t, s.Delete(ctx, img.ID), image.Interrupted)
	if _, err := s.Get(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
}
