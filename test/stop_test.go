package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A stopper is a proxy before a service that lets a daemon get to one moment of one
// request, and no further.
type stopper struct {
	proxy http.Handler

	mu   sync.Mutex // guards the fields below
	at   *stop      // nil: everything passes
	seen int        // requests that have been counted for it
}

// A stop is a moment in one of the requests that change images or look at one: those
// that a commit makes.
type stop struct {
	nth     int // from 0
	where   where
	reached chan string   // then given the request's method
	off     chan struct{} // closed to break the request off
}

// where a request is stopped.
type where int

const (
	atRequest   where = iota // the service does not get it
	atFirstByte              // of its body
	atMiddle
	atLastByte // which is not sent
	atAnswer   // which is not given
)

func (w where) String() string {
	return [...]string{"request", "first byte", "middle", "last byte", "answer"}[w]
}

type stopKey struct{}

// newStopper puts a stopper before the service; the service that it returns is the one
// to mount.
func newStopper(t *testing.T, s service) (*stopper, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	quiet := log.New(io.Discard, "", 0) // its requests break off on purpose
	p := &stopper{}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if at, ok := r.Request.Context().Value(stopKey{}).(*stop); ok {
				return at.hold(r.Request.Method)
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     quiet,
	}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = quiet
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(p.letGo)
	s.args = []string{"--endpoint", server.URL}
	return p, s
}

// arm sets the moment at which the service stops.
func (p *stopper) arm(nth int, w where) *stop {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = &stop{nth: nth, where: w, reached: make(chan string, 1), off: make(chan struct{})}
	p.seen = 0
	return p.at
}

// letGo breaks off what is held, and lets everything pass from now on.
func (p *stopper) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at != nil {
		close(p.at.off)
		p.at = nil
	}
}

// next is the stop, if this is its request.
func (p *stopper) next(r *http.Request) *stop {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, id, _ := strings.Cut(r.URL.Path, "/v2/images/")
	if p.at == nil || r.Method == http.MethodGet && (id == "" || strings.HasSuffix(id, "/file")) {
		return nil // listings and reading are no part of a commit
	}
	p.seen++
	if p.seen-1 != p.at.nth {
		return nil
	}
	return p.at
}

func (p *stopper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if at := p.next(r); at != nil {
		switch left := int64(1); at.where {
		case atRequest:
			_ = at.hold(r.Method)
			panic(http.ErrAbortHandler)
		case atAnswer:
			r = r.WithContext(context.WithValue(r.Context(), stopKey{}, at))
		default:
			if at.where == atMiddle {
				left = r.ContentLength / 2
			}
			if at.where == atLastByte {
				left = r.ContentLength - 1
			}
			r.Body = &stoppedBody{ReadCloser: r.Body, left: left, at: at}
		}
	}
	p.proxy.ServeHTTP(w, r)
}

// hold says that the moment has come, and waits until the request breaks off.
func (s *stop) hold(method string) error {
	s.reached <- method
	<-s.off
	return errors.New("stopped")
}

func (s *stop) String() string { return fmt.Sprintf("%d-%v", s.nth, s.where) }

// stoppedBody gives the bytes before its stop.
type stoppedBody struct {
	io.ReadCloser
	left int64
	at   *stop
}

func (b *stoppedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.at.hold(http.MethodPut)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
