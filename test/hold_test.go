package test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// A hold is a proxy before a service that keeps some requests waiting.
type hold struct {
	proxy http.Handler

	mu       sync.Mutex // guards the fields below
	held     func(*http.Request) bool
	released chan struct{} // closed when nothing is held any more
	waiting  int           // requests that are held
	noRanges bool          // it answers as a store does that serves none
}

// newHold puts a hold before the service; the service that it returns is the one to
// mount. At first nothing is held.
func newHold(t *testing.T, s service) (*hold, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	h := &hold{released: make(chan struct{}), proxy: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // callers go away on purpose
	}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s.args = []string{"--endpoint", server.URL}
	return h, s
}

// keep makes the requests wait for which held is true, until release.
func (h *hold) keep(held func(*http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = held
}

// refuseRanges makes it answer as a store does that serves none.
func (h *hold) refuseRanges() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noRanges = true
}

// release lets all go. It may be called several times.
func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != nil {
		h.held = nil
		close(h.released)
		h.released = make(chan struct{})
	}
}

// holds reports whether as many requests are held.
func (h *hold) holds(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting == n
}

func (h *hold) count(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting += n
}

func (h *hold) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	held, released, noRanges := h.held, h.released, h.noRanges
	h.mu.Unlock()
	if noRanges && r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if held != nil && held(r) {
		h.count(1)
		select {
		case <-released:
		case <-r.Context().Done():
		}
		h.count(-1)
		if r.Context().Err() != nil {
			return
		}
	}
	h.proxy.ServeHTTP(w, r)
}
