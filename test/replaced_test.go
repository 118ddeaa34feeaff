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

// An image that is deleted while it is open goes on with what is cached; the rest
// is ESTALE, as on NFS.
func TestDeletedWhileOpen(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		data := noise(53, 64<<20)
		img := s.upload(t, image.New{Name: "deleted.img"}, data)
		m := mountOn(t, s, "--list-ttl", "2s")
		f, err := os.Open(m.path("deleted.img"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, 4096)
		if _, err := f.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.api.Delete(t.Context(), img.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, data[:4096]) {
			t.Errorf("reading what was read before: %v", err)
		}
		if _, err := f.ReadAt(p, 48<<20); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("reading the rest: %v, want ESTALE", err)
		}
		m.until("the entry to go", func() bool { _, err := os.Stat(m.path("deleted.img")); return os.IsNotExist(err) })
	})
}

// Where others have replaced an image, a reader that meets its end makes way for
// the new one, however young the listing.
func TestReplacedElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		name := "replaced.img"
		old := s.upload(t, image.New{Name: name}, noise(56, 16<<20))
		m := mountOn(t, s, "--list-ttl", "1h")
		if out := run(t, "ls", m.dir); !strings.Contains(out, name) {
			t.Fatalf("ls shows %s", out)
		}
		if err := s.api.Delete(t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		data := noise(57, 1<<20)
		s.upload(t, image.New{Name: name}, data)
		if _, err := os.ReadFile(m.path(name)); err != nil && !errors.Is(err, syscall.ESTALE) {
			t.Errorf("the first read: %v, want ESTALE or the new bytes", err)
		}
		m.until("the new image to be found", func() bool {
			got, err := os.ReadFile(m.path(name))
			return err == nil && bytes.Equal(got, data)
		})
	})
}
