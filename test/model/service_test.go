package model

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

// service is an embedded server and a client of it.
type service struct {
	server *imageserver.Server
	http   *httptest.Server
	api    *client.Client
}

func newService(ctx context.Context, dir string) (*service, error) {
	server, err := imageserver.New(imageserver.Options{Dir: dir, NoSync: true})
	if err != nil {
		return nil, err
	}
	s := &service{server: server, http: httptest.NewServer(server)}
	s.api, err = client.Dial(ctx, client.Options{Endpoint: s.http.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *service) close() error {
	if s.api != nil {
		s.api.Close()
	}
	s.http.CloseClientConnections()
	s.http.Close()
	return s.server.Close()
}

// upload makes an image.
func (s *service) upload(ctx context.Context, name string, data []byte) error {
	img, err := s.api.Create(ctx, image.New{Name: name, DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		return err
	}
	return s.api.Upload(ctx, img.ID, int64(len(data)), func() io.Reader { return bytes.NewReader(data) })
}

// holds checks that the service has exactly these images, by name, and none that
// is hidden: what a commit leaves would be.
func (s *service) holds(ctx context.Context, want map[string][]byte) error {
	var all []image.Image
	for _, hidden := range []bool{false, true} {
		err := s.api.List(ctx, client.Filter{Hidden: hidden}, func(page []image.Image) error {
			all = append(all, page...)
			return nil
		})
		if err != nil {
			return err
		}
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

func (s *service) same(ctx context.Context, img image.Image, want []byte) error {
	if img.Size == 0 {
		return nil
	}
	body, err := s.api.OpenWhole(ctx, img)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if at := firstDifference(got, want); at >= 0 {
		return fmt.Errorf("the image of %s differs from byte %d on", img.Name, at)
	}
	return nil
}

// firstDifference is the first offset at which two pieces differ, or -1.
func firstDifference(a, b []byte) int {
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
