package test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// images returns the images that the service lists under a name.
func (s service) images(t *testing.T, name string) []image.Image {
	t.Helper()
	var found []image.Image
	for _, hidden := range []bool{false, true} {
		f := client.Filter{Name: &name, Hidden: hidden}
		_, err := s.api.List(t.Context(), f, func(page []image.Image) error {
			found = append(found, page...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// one returns the only image with a name.
func (s service) one(t *testing.T, name string) image.Image {
	t.Helper()
	found := s.images(t, name)
	if len(found) != 1 {
		t.Fatalf("%d images are named %q, want 1", len(found), name)
	}
	return found[0]
}

// upload makes an image behind the mount's back.
func (s service) upload(t *testing.T, n image.New, data []byte) image.Image {
	t.Helper()
	if n.DiskFormat == "" {
		n.DiskFormat, n.ContainerFormat = "raw", "bare"
	}
	img, err := s.api.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	s.cleanUp(t, img.ID)
	if err := s.api.Upload(t.Context(), img.ID, int64(len(data)), func() io.Reader { return bytes.NewReader(data) }); err != nil {
		t.Fatal(err)
	}
	img, err = s.api.Get(t.Context(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// cleanUp deletes an image at the end of the test, if it is still there.
func (s service) cleanUp(t *testing.T, id string) {
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := s.api.Update(ctx, id, []image.Change{{Field: "protected", Value: false}})
		if err == nil {
			err = s.api.Delete(ctx, id)
		}
		if err != nil && !image.Is(err, image.NotFound) {
			t.Errorf("cleaning up: %v", err)
		}
	})
}

// cleanName deletes whatever bears the name at the end of the test.
func (s service) cleanName(t *testing.T, name string) string {
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, hidden := range []bool{false, true} {
			_, err := s.api.List(ctx, client.Filter{Name: &name, Hidden: hidden}, func(page []image.Image) error {
				for _, img := range page {
					if err := s.api.Delete(ctx, img.ID); err != nil && !image.Is(err, image.NotFound) {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("cleaning up: %v", err)
			}
		}
	})
	return name
}

// noise returns bytes that no compression makes smaller; the same for a seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	p := make([]byte, n)
	if _, err := rand.NewChaCha8(key).Read(p); err != nil {
		panic(err) // it never fails
	}
	return p
}

// file writes bytes to a new local file.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// holds checks that the image is active and has the bytes' size and hash.
func holds(t *testing.T, img image.Image, data []byte) {
	t.Helper()
	sum := sha512.Sum512(data)
	if img.Status != image.StatusActive || img.Size != int64(len(data)) || img.HashValue != hex.EncodeToString(sum[:]) {
		t.Errorf("image %s is %s with %d bytes and hash %.16s, want active, %d and %.16s",
			img.ID, img.Status, img.Size, img.HashValue, len(data), hex.EncodeToString(sum[:]))
	}
}
