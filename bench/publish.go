package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
)

// published is an image that a site serves.
type published struct {
	name, id string
	size     int64
	path     string // of its bytes on this machine, in the page cache
}

// noise is incompressible, and the same for the same seed.
func noise(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

// publish uploads an image to a site. It stays until the scope ends.
func (l *lab) publish(ctx context.Context, s *site, name, format string, size int64, content io.Reader) (published, error) {
	p := published{name: name, size: size}
	record, err := json.Marshal(map[string]string{"name": name, "disk_format": format, "container_format": "bare"})
	if err != nil {
		return p, err
	}
	var created struct {
		ID string `json:"id"`
	}
	answer, err := s.call(ctx, http.MethodPost, s.endpoint()+"/v2/images", "application/json", int64(len(record)), bytes.NewReader(record))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(answer, &created); err != nil {
		return p, err
	}
	p.id = created.ID
	l.atEnd(func() error {
		_, err := s.call(context.WithoutCancel(ctx), http.MethodDelete, s.endpoint()+"/v2/images/"+p.id, "", 0, nil)
		return errors.Join(err, os.RemoveAll(p.path))
	})
	if _, err := s.call(ctx, http.MethodPut, s.image(p), "application/octet-stream", size, content); err != nil {
		return p, err
	}
	p.path = filepath.Join(s.files, name)
	if err := os.Link(filepath.Join(s.dir, s.data, p.id), p.path); err != nil {
		return p, err
	}
	l.hot = append(l.hot, p.path)
	return p, nil
}

func (s *site) call(ctx context.Context, method, url, kind string, size int64, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = size
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if s.token != "" {
		request.Header.Set("X-Auth-Token", s.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() // only read
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, response.Status, answer)
	}
	return answer, err
}
