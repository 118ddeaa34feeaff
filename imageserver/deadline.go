package imageserver

import (
	"io"
	"net/http"
	"time"
)

// stall is how long a connection may make no progress before it is given up: a
// caller on a bad line still moves a chunk in it.
const stall = 60 * time.Second

// expect gives the caller until the stall time from now to take what is written
// next. Every request begins with it, so no deadline outlives its answer. A
// writer without deadlines (a recorder in a test) cannot stall.
func (s *Server) expect(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opt.Latency + s.stall))
}

// watch returns the request's body, which fails when it makes no progress, and
// what ends the watch: a deadline that outlived the body would cut the
// connection, and the answer gets its time anew.
func (s *Server) watch(w http.ResponseWriter, r *request) (body io.Reader, end func()) {
	control := http.NewResponseController(w)
	return &watchedBody{r.Body, control, s.stall}, func() {
		_ = control.SetReadDeadline(time.Time{}) // see expect
		s.expect(w)
	}
}

// watchedBody renews the deadline of its connection with every read.
type watchedBody struct {
	io.Reader
	control *http.ResponseController
	stall   time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.stall)) // see expect
	return b.Reader.Read(p)
}

// maxDrain is how much of a refused body is read so that the caller, still
// sending, sees the answer instead of a reset connection.
const maxDrain = 64 << 20

// drain reads what a refused caller is still sending, up to a bound.
func (s *Server) drain(w http.ResponseWriter, r *request) {
	body, end := s.watch(w, r)
	defer end()
	if _, err := io.CopyN(io.Discard, body, maxDrain); err == nil {
		// More was coming; the connection cannot be used again.
		w.Header().Set("Connection", "close")
	}
}
