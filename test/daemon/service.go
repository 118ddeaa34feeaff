package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// Service is an embedded server in this process, and a client of it.
type Service struct {
	API *client.Client

	server *imageserver.Server
	http   *httptest.Server
}

// NewService serves what is in dir, and what it makes there.
func NewService(ctx context.Context, dir string) (*Service, error) {
	server, err := imageserver.New(imageserver.Options{Dir: dir, NoSync: true})
	if err != nil {
		return nil, err
	}
	s := &Service{server: server, http: httptest.NewServer(server)}
	s.API, err = client.Dial(ctx, client.Options{Endpoint: s.URL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is the endpoint to mount.
func (s *Service) URL() string { return s.http.URL }

// Close ends it. It is to be called once.
func (s *Service) Close() error {
	if s.API != nil {
		s.API.Close()
	}
	s.http.CloseClientConnections()
	s.http.Close()
	return s.server.Close()
}

// Upload makes an image. What n does not say of its formats is raw and bare.
func (s *Service) Upload(ctx context.Context, n image.New, data []byte) (image.Image, error) {
	if n.DiskFormat == "" {
		n.DiskFormat, n.ContainerFormat = "raw", "bare"
	}
	img, err := s.API.Create(ctx, n)
	if err != nil {
		return img, err
	}
	if err := s.API.Upload(ctx, img.ID, int64(len(data)), func() io.Reader { return bytes.NewReader(data) }); err != nil {
		return img, err
	}
	return s.API.Get(ctx, img.ID)
}

// Images are all images, also hidden ones.
func (s *Service) Images(ctx context.Context) ([]image.Image, error) {
	var all []image.Image
	for _, hidden := range []bool{false, true} {
		_, err := s.API.List(ctx, client.Filter{Hidden: hidden}, func(page []image.Image) error {
			all = append(all, page...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Holds checks that the service has exactly these images, by name, and none that
// is hidden: what a commit leaves would be.
func (s *Service) Holds(ctx context.Context, want map[string][]byte) error {
	all, err := s.Images(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, img := range all {
		data, ok := want[img.Name]
		switch {
		case !ok || seen[img.Name] || img.Hidden:
			return fmt.Errorf("the service has an image too many: %+v", img)
		case img.Properties[image.PropertyDraft] != "":
			return fmt.Errorf("an image is marked as a draft: %+v", img)
		case img.Status == image.StatusQueued && len(data) == 0:
		case img.Status != image.StatusActive || img.Size != int64(len(data)):
			return fmt.Errorf("the image of %s is %s with %d bytes, want %d", img.Name, img.Status, img.Size, len(data))
		default:
			if err := s.same(ctx, img, data); err != nil {
				return err
			}
		}
		seen[img.Name] = true
	}
	for name := range want {
		if !seen[name] {
			return fmt.Errorf("the service has no image of %s", name)
		}
	}
	return nil
}

func (s *Service) same(ctx context.Context, img image.Image, want []byte) error {
	if img.Size == 0 {
		return nil
	}
	body, err := s.API.OpenWhole(ctx, img)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if at := FirstDifference(got, want); at >= 0 {
		return fmt.Errorf("the image of %s differs from byte %d on", img.Name, at)
	}
	return nil
}

// FirstDifference is the first offset at which two pieces differ, or -1.
func FirstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
