package imageserver

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// stall is how long a connection may make no progress before it is given up: a
// caller on a bad line still moves a chunk in it.
const stall = 60 * time.Second

// expect gives the caller the stall time to take what is written next, behind
// the one that net/http may wait for the rest of a body before it writes. Every
// request begins with it, so no deadline outlives its answer. A writer without
// deadlines (a recorder in a test) cannot stall.
func (s *Server) expect(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opt.Latency + 2*s.stall))
}

// expectBody bounds the wait for a body that is not read, or not to its end:
// net/http itself reads some of it after the answer. Where there is none the
// connection is left alone, for a deadline would end it during a long answer.
func (s *Server) expectBody(w http.ResponseWriter, r *request) {
	until := time.Time{}
	if r.ContentLength != 0 && !r.ended {
		until = time.Now().Add(s.opt.Latency + s.stall)
	}
	_ = http.NewResponseController(w).SetReadDeadline(until) // see expect
}

// watch returns the request's body, which fails when it makes no progress, and
// what ends the watch, after which the answer gets its time anew.
func (s *Server) watch(w http.ResponseWriter, r *request) (body io.Reader, end func()) {
	return &watchedBody{r, http.NewResponseController(w), s.stall}, func() {
		s.expectBody(w, r)
		s.expect(w)
	}
}

// watchedBody renews the deadline of its connection with every read.
type watchedBody struct {
	r       *request
	control *http.ResponseController
	stall   time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.stall)) // see expect
	b.r.begun = true
	n, err := b.r.Body.Read(p)
	b.r.ended = b.r.ended || errors.Is(err, io.EOF)
	return n, err
}

// maxDrain is how much of a refused body is read so that the caller, still
// sending, sees the answer instead of a reset connection.
const maxDrain = 64 << 20

// drain reads what a refused caller is still sending, up to a bound. Who waits
// to be told to go on (Expect: 100-continue) sends nothing.
func (s *Server) drain(w http.ResponseWriter, r *request) {
	if !r.begun && r.Header.Get("Expect") != "" {
		w.Header().Set("Connection", "close")
		return
	}
	body, end := s.watch(w, r)
	defer end()
	if _, err := io.CopyN(io.Discard, body, maxDrain); err == nil {
		// More was coming; the connection cannot be used again.
		w.Header().Set("Connection", "close")
	}
}
