package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A spoiler is a proxy before a service that lets uploads of some images fail.
type spoiler struct {
	proxy http.Handler
	url   string

	mu     sync.Mutex // guards the fields below
	names  map[string]string
	faults map[string]*uploadFault // by the image's name
}

// An uploadFault is how uploads of one image fail.
type uploadFault struct {
	times int // uploads that are still to fail; negative: all
	hit   int // uploads that did
	fail  failure
}

// A failure answers a PUT of data; next is the service behind it.
type failure func(w http.ResponseWriter, r *http.Request, next http.Handler)

// newSpoiler puts a spoiler before the service; the service that it returns is the
// one to mount.
func newSpoiler(t *testing.T, s service) (*spoiler, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	p := &spoiler{names: map[string]string{}, faults: map[string]*uploadFault{}, proxy: &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:     log.New(io.Discard, "", 0), // uploads break off on purpose
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the same
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	s.args = []string{"--endpoint", server.URL}
	return p, s
}

// spoil lets the next uploads of an image fail; all of them, if times is negative.
func (p *spoiler) spoil(name string, times int, f failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[name] = &uploadFault{times: times, fail: f}
}

// mend ends the faults of an image and returns how many uploads have failed.
func (p *spoiler) mend(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults[name]
	delete(p.faults, name)
	return f.hit
}

func (p *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/images") {
		p.learn(r)
	}
	if f := p.next(r); f != nil {
		f(w, r, p.proxy)
		return
	}
	p.proxy.ServeHTTP(w, r)
}

// learn notes which name the image that is created has.
func (p *spoiler) learn(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var record struct{ ID, Name string }
	if json.Unmarshal(body, &record) == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.names[record.ID] = record.Name
	}
}

// next is how this request fails, nil if it does not.
func (p *spoiler) next(r *http.Request) failure {
	parts := strings.Split(r.URL.Path, "/")
	if r.Method != http.MethodPut || len(parts) < 2 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults[p.names[parts[len(parts)-2]]]
	if f == nil || f.times == 0 {
		return nil
	}
	f.times--
	f.hit++
	return f.fail
}

// answers is a service that takes the data and refuses it.
func answers(status int, text string) failure {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.Header().Set("X-Openstack-Request-Id", "req-spoiled") // the service's own word, not a proxy's
			http.Error(w, text, status)
		}
	}
}

// answersEarly is one that refuses the data before it is sent.
func answersEarly(status int, text string) failure {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, text, status) }
}

// cutBody ends a body with an error in its middle.
type cutBody struct {
	io.Reader
	io.Closer
}

func cut(r *http.Request) {
	r.Body = &cutBody{Reader: io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), brokenReader{}), Closer: r.Body}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// closes is a connection that ends in the middle of the data, at both ends.
func closes(w http.ResponseWriter, r *http.Request, next http.Handler) {
	cut(r)
	next.ServeHTTP(w, r)
}

// resets is a connection that is reset in the middle of the data.
func resets(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2) // whatever came
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0) // else it is closed in order
		_ = conn.Close()                     // the client sees what it sees
	}
}

// stalls is a service that takes some of the data and nothing more, until end.
func stalls(end <-chan struct{}) failure {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20) // whatever came
		<-end
	}
}

// losesAnswer is a proxy whose connection ends after the service has done it all.
func losesAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// flips is a path on which a bit changes.
func flips(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.Body = &flippedBody{ReadCloser: r.Body}
	next.ServeHTTP(w, r)
}

type flippedBody struct {
	io.ReadCloser
	done bool
}

func (b *flippedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.done {
		p[0] ^= 1
		b.done = true
	}
	return n, err
}
