package fault

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// An exchange is one request and what becomes of it.
type exchange struct {
	p    *Proxy
	kind Kind
	w    http.ResponseWriter
	r    *http.Request
	rule *rule // that it meets; nil: its fault was drawn
}

// An answer is what goes onto the connection.
type answer struct {
	status int
	header http.Header
	body   []byte
	length int64         // Content-Length; noLength: the end of the connection is the body's
	cut    int           // bytes of the body that are sent; whole: all
	head   int           // bytes of the header that are sent; whole: all
	pieces int           // in how many pieces the body is sent
	pause  time.Duration // between them
	stall  bool          // before the end, until the client goes away
	reset  bool          // instead of an orderly end
}

const (
	noLength = -1
	whole    = -1
)

// ask makes the request at the service.
func (e *exchange) ask() *answer {
	r := e.r.Clone(e.r.Context())
	r.URL.Scheme, r.URL.Host, r.RequestURI = e.p.target.Scheme, e.p.target.Host, ""
	r.URL.Path = e.p.target.Path + r.URL.Path
	resp, err := e.p.transport.RoundTrip(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resp.Header.Del("Content-Length")
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, length: int64(len(body)), cut: whole, head: whole}
}

// consume reads what the client sends.
func (e *exchange) consume() { _, _ = io.Copy(io.Discard, e.r.Body) } // whatever came

// wait waits until the client has gone, or for the end of the proxy.
func (e *exchange) wait(conn net.Conn) {
	stop := make(chan struct{})
	defer close(stop)
	e.p.work.Go(func() {
		select {
		case <-e.p.done:
			_ = conn.Close() // ends the reading below
		case <-stop:
		}
	})
	_, _ = io.Copy(io.Discard, conn) // until it is closed at either end
}

// pause lets time go by; false where it ended early.
func (e *exchange) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.p.done:
	case <-e.r.Context().Done():
	}
	return false
}

// take takes the connection from the server.
func (e *exchange) take() *net.TCPConn {
	conn, _, err := http.NewResponseController(e.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	return conn.(*net.TCPConn)
}

// send writes an answer, as wrong as it is, and ends the connection.
func (e *exchange) send(a *answer) {
	conn := e.take()
	defer conn.Close() // its client has seen what it was to see
	var top bytes.Buffer
	fmt.Fprintf(&top, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(&top) // to memory
	if a.length >= 0 && a.status != http.StatusNoContent {
		fmt.Fprintf(&top, "Content-Length: %d\r\n", a.length)
	}
	top.WriteString("Connection: close\r\n\r\n")
	body := a.body
	if a.cut != whole {
		body = body[:min(a.cut, len(body))]
	}
	if a.head != whole {
		top.Truncate(min(a.head, top.Len()))
		body = nil
	}
	if _, err := conn.Write(top.Bytes()); err != nil {
		return // the client has seen enough
	}
	for piece := max(1, len(body)/max(1, a.pieces)); len(body) > 0; {
		n := min(piece, len(body))
		if _, err := conn.Write(body[:n]); err != nil {
			return
		}
		if body = body[n:]; a.pause > 0 && len(body) > 0 && !e.rest(a.pause) {
			return
		}
	}
	if a.stall {
		e.wait(conn)
	}
	if a.reset {
		_ = conn.SetLinger(0) // else it is closed in order
	}
}

// rest is pause where the connection was taken: its client's going is not seen.
func (e *exchange) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.p.done:
		return false
	}
}
