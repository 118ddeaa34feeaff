package test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// A gate is a proxy before a service: it can hold uploads in their middle, and go
// away as a service does that is stopped.
type gate struct {
	t      *testing.T
	addr   string
	proxy  http.Handler
	server *http.Server
	served chan error // how server ended

	mu   sync.Mutex    // guards the fields below
	hold chan struct{} // closed to let held uploads go on; nil: none is held
	cut  chan struct{} // closed to break them off
	held int           // uploads that wait
}

// newGate puts a gate before the service; the service that it returns is the one
// to mount.
func newGate(t *testing.T, s service) (*gate, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, proxy: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // its requests break off on purpose
	}}
	g.open("127.0.0.1:0")
	t.Cleanup(func() {
		g.letGo()
		g.away()
	})
	s.args = []string{"--endpoint", "http://" + g.addr}
	return g, s
}

func (g *gate) open(addr string) {
	g.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.addr = l.Addr().String()
	g.server, g.served = &http.Server{Handler: g, ReadHeaderTimeout: patience}, make(chan error, 1)
	go func(s *http.Server, served chan<- error) { served <- s.Serve(l) }(g.server, g.served)
}

// away stops the service: connections are refused until back.
func (g *gate) away() {
	g.t.Helper()
	if err := g.server.Close(); err != nil {
		g.t.Error(err)
	}
	if err := <-g.served; !errors.Is(err, http.ErrServerClosed) {
		g.t.Error(err)
	}
}

func (g *gate) back() { g.open(g.addr) }

// holdUploads makes uploads wait after their first byte until letGo.
func (g *gate) holdUploads() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.cut = make(chan struct{}), make(chan struct{})
}

// cutOff breaks off the uploads that are held: their client has ended, which who reads
// nothing from it does not notice. The next ones are held.
func (g *gate) cutOff() {
	g.t.Helper()
	g.mu.Lock()
	close(g.cut)
	g.cut = make(chan struct{})
	g.mu.Unlock()
	until(g.t, "the uploads to be broken off", func() bool { return g.waiting() == 0 })
}

func (g *gate) letGo() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold != nil {
		close(g.hold)
		g.hold = nil
	}
}

// waiting is the number of uploads that are held.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

func (g *gate) count(by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += by
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	hold, cut := g.hold, g.cut
	g.mu.Unlock()
	if hold != nil && r.Method == http.MethodPut {
		r.Body = &heldBody{ReadCloser: r.Body, gate: g, hold: hold, cut: cut}
	}
	g.proxy.ServeHTTP(w, r)
}

// heldBody gives one byte, and the others when it may.
type heldBody struct {
	io.ReadCloser
	gate  *gate
	hold  <-chan struct{}
	cut   <-chan struct{}
	begun bool
}

func (b *heldBody) Read(p []byte) (int, error) {
	if !b.begun && len(p) > 0 {
		b.begun = true
		return b.ReadCloser.Read(p[:1])
	}
	b.gate.count(1)
	defer b.gate.count(-1)
	select {
	case <-b.hold:
		return b.ReadCloser.Read(p)
	case <-b.cut:
		return 0, io.ErrUnexpectedEOF
	}
}
