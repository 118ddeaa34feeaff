package test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A wire is a proxy before a service. It notes each request, and can answer those
// for an image's data itself, wrongly.
type wire struct {
	t     *testing.T
	proxy http.Handler

	mu     sync.Mutex // guards the fields below
	seen   []*exchange
	spoilt map[string]*spoilt // by image id
}

// An exchange is one request and what was answered.
type exchange struct {
	what  string // method, path and query
	span  string // the Range header
	bytes int64  // of the answer's body, unless it was spoilt
}

// asksPermission is the span of the question whether an image may be read.
const asksPermission = "bytes=0-0"

// spoilt is an image whose data come with a fault.
type spoilt struct {
	data   []byte
	fault  fault
	times  int                   // answers that are still to be spoilt; negative: all
	hit    int                   // answers that were
	stalls map[net.Conn]struct{} // connections that wait for their client to go away
}

// A fault changes the right answer to a request for the bytes from off on.
type fault func(a *answer, data []byte, off, end int64)

// An answer is what goes onto the connection.
type answer struct {
	status string
	header []string // lines
	length int64    // Content-Length; negative: none, the connection's end is the body's
	body   []byte
	cut    int  // bytes of all this that are sent; negative: all
	reset  bool // instead of an orderly end of the connection
	stall  bool // before the end, until the client goes away
}

// newWire puts a wire before the service; the service that it returns is the one to
// mount.
func newWire(t *testing.T, s service) (*wire, service) {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, spoilt: map[string]*spoilt{}, proxy: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // readers go away on purpose
	}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	s.args = []string{"--endpoint", server.URL}
	return w, s
}

// spoil makes the next answers with the image's data come with a fault; all of
// them, if times is negative.
func (w *wire) spoil(id string, data []byte, times int, f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoilt[id] = &spoilt{data: data, fault: f, times: times, stalls: map[net.Conn]struct{}{}}
}

// mend ends the faults of an image, breaks the connections that stall, and returns
// how many answers were spoilt.
func (w *wire) mend(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.spoilt[id]
	delete(w.spoilt, id)
	for conn := range s.stalls {
		conn.Close()
	}
	return s.hit
}

// stalled is how many of the image's connections wait for their client.
func (w *wire) stalled(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.spoilt[id].stalls)
}

// exchanges returns what has gone over the wire since the last call.
func (w *wire) exchanges() (seen []exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.seen {
		seen = append(seen, *e)
	}
	w.seen = nil
	return seen
}

// asked reports whether a request with the text has come since the last exchanges.
func (w *wire) asked(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.seen, func(e *exchange) bool { return strings.Contains(e.what, text) })
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	e := &exchange{what: r.Method + " " + r.URL.RequestURI(), span: r.Header.Get("Range")}
	w.seen = append(w.seen, e)
	var s *spoilt
	if id, ok := strings.CutSuffix(r.URL.Path, "/file"); ok && r.Method == http.MethodGet {
		s = w.spoilt[path.Base(id)]
		if s != nil && s.times == 0 {
			s = nil
		}
	}
	if s != nil {
		s.times--
		s.hit++
	}
	w.mu.Unlock()
	if s == nil {
		w.proxy.ServeHTTP(&wireWriter{ResponseWriter: rw, wire: w, exchange: e}, r)
		return
	}
	if err := w.answer(rw, s, e.span); err != nil {
		w.t.Errorf("answering %s wrongly: %v", e.what, err)
	}
}

// answer gives the spoilt answer to a request for a span, or for all.
func (w *wire) answer(rw http.ResponseWriter, s *spoilt, span string) error {
	off, end, size := int64(0), int64(len(s.data)), int64(len(s.data))
	a := &answer{status: "200 OK", cut: -1}
	if span != "" {
		if _, err := fmt.Sscanf(span, "bytes=%d-%d", &off, &end); err != nil {
			return err
		}
		end++
		a.status = "206 Partial Content"
		a.header = append(a.header, contentRange(off, end, size))
	}
	a.body, a.length = s.data[off:end], end-off
	s.fault(a, s.data, off, end)

	if a.length >= 0 {
		a.header = append(a.header, fmt.Sprintf("Content-Length: %d", a.length))
	} else {
		a.header = append(a.header, "Connection: close")
	}
	out := slices.Concat([]byte("HTTP/1.1 "+a.status+"\r\n"+strings.Join(a.header, "\r\n")+"\r\n\r\n"), a.body)
	if a.cut >= 0 {
		out = out[:min(a.cut, len(out))]
	}
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(out); err != nil {
		return nil // the client has seen enough and gone away
	}
	if a.stall {
		w.mu.Lock()
		s.stalls[conn] = struct{}{}
		w.mu.Unlock()
		_, _ = io.Copy(io.Discard, conn) // until it is closed at either end
		w.mu.Lock()
		delete(s.stalls, conn)
		w.mu.Unlock()
	}
	if a.reset {
		return conn.(*net.TCPConn).SetLinger(0)
	}
	return nil
}

func contentRange(off, end, size int64) string {
	return fmt.Sprintf("Content-Range: bytes %d-%d/%d", off, end-1, size)
}

// wireWriter counts the bytes of an answer.
type wireWriter struct {
	http.ResponseWriter
	wire     *wire
	exchange *exchange
}

func (w *wireWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.exchange.bytes += int64(n)
	return n, err
}

func (w *wireWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
