package test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What is cached is read only by who may download the image now: a mount that finds
// another one's bytes on the disk asks the service first, and is refused where that has
// the image deactivated, whether the mount knows that or not.
func TestCachedBytesNeedPermission(t *testing.T) {
	t.Parallel()
	w, s := newWire(t, embedded(t))
	data := noise(91, 3<<20)
	img := s.upload(t, image.New{Name: "secret.img"}, data)
	first := mountOn(t, s)
	if got, err := os.ReadFile(first.path("secret.img")); err != nil || string(got) != string(data) {
		t.Fatalf("reading: %v", err)
	}
	first.until("the copy to be whole", func() bool { return first.status().Cache.Disk.Verified == 1 })
	run(t, binary, "unmount", first.dir)

	asked := func() (n int) {
		for _, e := range w.exchanges() {
			if strings.Contains(e.what, "/file") {
				n++
			}
		}
		return n
	}
	second := mountOn(t, s, "--list-ttl", "1h", "--cache-dir", first.cache)
	run(t, "ls", second.dir)
	asked()
	for range 3 {
		if got, err := os.ReadFile(second.path("secret.img")); err != nil || string(got) != string(data) {
			t.Fatalf("reading what is cached: %v", err)
		}
	}
	if n := asked(); n != 1 {
		t.Errorf("three opens of a cached image made %d requests, want 1", n)
	}
	run(t, binary, "unmount", second.dir)

	third := mountOn(t, s, "--list-ttl", "1h", "--cache-dir", first.cache)
	run(t, "ls", third.dir)
	deactivate(t, s, img.ID)
	if err := open(third.path("secret.img"), syscall.O_RDONLY); !errors.Is(err, syscall.EACCES) {
		t.Errorf("opening an image that was active when it was listed: %v, want EACCES", err)
	}
	if err := open(third.path("secret.img"), syscall.O_RDWR); !errors.Is(err, syscall.EACCES) {
		t.Errorf("opening it to edit: %v, want EACCES", err)
	}
	run(t, binary, "unmount", third.dir)

	fourth := mountOn(t, s, "--cache-dir", first.cache)
	if err := open(fourth.path("secret.img"), syscall.O_RDONLY); !errors.Is(err, syscall.EACCES) {
		t.Errorf("opening an image that is deactivated: %v, want EACCES", err)
	}
}

// deactivate makes the service refuse an image's data.
func deactivate(t *testing.T, s service, id string) {
	t.Helper()
	resp, err := http.Post(s.api.Service()+"/images/"+id+"/actions/deactivate", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("deactivate: %s", resp.Status)
	}
}
