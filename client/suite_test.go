package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

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
		{"UpdatedSince", testUpdatedSince},
		{"MarkerGone", testMarkerGone},
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
