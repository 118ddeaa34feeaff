package test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// longListing is how long a whole listing takes at least behind a slowListing: longer
// than a mount waits for where asking for what was changed is enough (promptPass).
const longListing = 2200 * time.Millisecond

// A slowListing is a proxy before a service of which the whole listing takes long, as
// that of a large cloud does. All other questions are answered at once.
type slowListing struct {
	proxy http.Handler
	url   string

	mu    sync.Mutex    // guards the fields below
	hold  chan struct{} // closed to let held listings go on; nil: none is held
	whole int           // whole listings that were answered
	since int           // questions for what was changed that were
}

// newSlowListing puts one before the service; the service that it returns is the one to
// mount.
func newSlowListing(t *testing.T, s service) (*slowListing, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	p := &slowListing{proxy: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // an unmount breaks off what is held
	}}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		p.letGo()
		server.Close()
	})
	p.url = server.URL
	s.args = []string{"--endpoint", server.URL}
	return p, s
}

func (p *slowListing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	lists := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/v2/images") && q.Has("sort") && !q.Has("name")
	whole := lists && !q.Has("updated_at") && !q.Has("marker")
	if whole && !p.wait(r) {
		return
	}
	p.proxy.ServeHTTP(w, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case whole:
		p.whole++
	case lists && q.Has("updated_at"):
		p.since++
	}
}

// wait takes the time that a whole listing takes; false where nobody waits any more.
func (p *slowListing) wait(r *http.Request) bool {
	long := time.NewTimer(longListing)
	defer long.Stop()
	select {
	case <-long.C:
	case <-r.Context().Done():
		return false
	}
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold == nil {
		return true
	}
	select {
	case <-hold:
		return true
	case <-r.Context().Done():
		return false
	}
}

// holdListings lets no whole listing be answered until letGo.
func (p *slowListing) holdListings() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = make(chan struct{})
}

func (p *slowListing) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold != nil {
		close(p.hold)
		p.hold = nil
	}
}

// answered returns how many whole listings, and questions for what was changed, were.
func (p *slowListing) answered() (whole, since int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.whole, p.since
}
