package upgrade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/imagefs/imagefs/imageserver"
)

// endpoint is the service as every fixture names it.
const endpoint = "http://images.example:9292"

// mayRead is what is asked for where bytes are cached: only whether they may be read.
const mayRead = "bytes=0-0"

// service is an embedded server at endpoint, for programs that are started while it is
// there.
type service struct {
	server *imageserver.Server
	http   *httptest.Server

	mu    sync.Mutex // guards the fields below
	held  map[string]chan struct{}
	reads map[string]int // of data, by the image's name
	off   chan struct{}  // closed when nothing is held any more
}

// newService serves a directory. held are requests that get no answer, as "METHOD name",
// where the name is the image's.
func newService(dir string, held ...string) (*service, error) {
	server, err := imageserver.New(imageserver.Options{Dir: dir, NoSync: true})
	if err != nil {
		return nil, err
	}
	s := &service{server: server, held: map[string]chan struct{}{}, reads: map[string]int{}, off: make(chan struct{})}
	for _, what := range held {
		s.held[what] = make(chan struct{})
	}
	s.http = httptest.NewServer(s)
	return s, os.Setenv("HTTP_PROXY", s.http.URL)
}

func (s *service) close() error {
	close(s.off)
	s.http.CloseClientConnections()
	s.http.Close()
	return errors.Join(s.server.Close(), os.Unsetenv("HTTP_PROXY"))
}

// ServeHTTP answers as the embedded server does, or not at all.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := s.nameOf(r)
	s.mu.Lock()
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/file") && r.Header.Get("Range") != mayRead {
		s.reads[name]++
	}
	what := r.Method + " " + name
	reached, held := s.held[what]
	delete(s.held, what)
	s.mu.Unlock()
	if !held {
		s.server.ServeHTTP(w, r)
		return
	}
	close(reached)
	<-s.off
	panic(http.ErrAbortHandler)
}

// nameOf is the name of the image that a request is about.
func (s *service) nameOf(r *http.Request) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/images/"), "/")
	var img struct {
		Name string `json:"name"`
	}
	var text []byte
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v2/images":
		text, _ = io.ReadAll(r.Body) // a request that breaks off names nothing
		r.Body = io.NopCloser(bytes.NewReader(text))
	case strings.HasPrefix(r.URL.Path, "/v2/images/"):
		text, _ = s.get("/v2/images/" + id)
	}
	if json.Unmarshal(text, &img) != nil {
		return ""
	}
	return img.Name
}

// get asks the server itself.
func (s *service) get(path string) ([]byte, error) {
	answer := httptest.NewRecorder()
	s.server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Code != http.StatusOK && answer.Code != http.StatusNoContent {
		return nil, fmt.Errorf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.Bytes(), nil
}

// put makes an image.
func (s *service) put(name string, data []byte) error {
	ask := func(method, path, kind string, body []byte, want int) ([]byte, error) {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		if s.server.ServeHTTP(answer, r); answer.Code != want {
			return nil, fmt.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
		return answer.Body.Bytes(), nil
	}
	text, err := ask(http.MethodPost, "/v2/images", "application/json",
		fmt.Appendf(nil, `{"name": %q, "disk_format": "raw", "container_format": "bare", "tags": ["kept"]}`, name), http.StatusCreated)
	if err != nil {
		return err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return err
	}
	_, err = ask(http.MethodPut, "/v2/images/"+made.ID+"/file", "application/octet-stream", data, http.StatusNoContent)
	return err
}

// record is what the tests look at of an image.
type record struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Status string   `json:"status"`
	Hidden bool     `json:"os_hidden"`
	Tags   []string `json:"tags"`
	Trash  string   `json:"imagefs_trash"`
	Draft  string   `json:"imagefs_draft"`
	Color  string   `json:"color"`
}

// all lists every image, also the hidden ones.
func (s *service) all() ([]record, error) {
	var all []record
	for _, hidden := range []string{"false", "true"} {
		text, err := s.get("/v2/images?limit=1000&os_hidden=" + hidden)
		if err != nil {
			return nil, err
		}
		var page struct {
			Images []record `json:"images"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
	}
	return all, nil
}

// readsOf is how often an image's data was asked for.
func (s *service) readsOf(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[name]
}
