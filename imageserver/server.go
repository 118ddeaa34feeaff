package imageserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// defaultProject is the project of a server that was given none.
const defaultProject = "imagefs"

// Options say where a server keeps its images and how it behaves.
type Options struct {
	// Dir holds everything; it is made if missing. One server at a time.
	Dir string
	// NoRanges answers every ranged GET of data with 400, as rbd, swift and s3
	// stores do.
	NoRanges bool
	// Latency is waited before every answer, as a far away service would.
	Latency time.Duration
	// Token is what X-Auth-Token must carry; "" asks for none.
	Token string
	// Project owns the images that callers create and is the project of a caller
	// who does not name one; "" is "imagefs". A caller may name another with the
	// header X-Project-Id, and be an admin with X-Roles: admin: this server
	// believes them, it has no users to protect from each other.
	Project string
	// Admin makes every caller an admin: sees all images, may publish.
	Admin bool
	// SizeCap is the most bytes that one image may have (413); 0 is no cap.
	SizeCap int64
	// Quota is the most bytes that one project's images may have together (413,
	// and shown by /v2/info/usage); 0 is none.
	Quota int64
	// NoSync leaves out every fsync: a killed process still loses nothing, a
	// power cut may. For tests and benchmarks that make very many images.
	NoSync bool
	// Logger gets one line for every change and every failure; nil is none.
	Logger *slog.Logger
	// Clock is the time of created_at and updated_at; nil is time.Now.
	Clock func() time.Time
}

// Server is the embedded Image API v2 server. It is safe for concurrent use.
type Server struct {
	opt   Options
	log   *slog.Logger
	index *index
	disk  *disk
	stall time.Duration // the constant; tests wait less

	// ctx ends when Close is called; imports run under it.
	ctx     context.Context
	cancel  context.CancelFunc
	imports sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	closed bool
}

// New opens the directory, repairs what a killed server left and loads every
// record. The caller must Close the server after its last request has ended.
func New(opt Options) (*Server, error) {
	if opt.Project == "" {
		opt.Project = defaultProject
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	log := opt.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := openDisk(opt.Dir, !opt.NoSync)
	if err != nil {
		return nil, err
	}
	ix := newIndex()
	if err := d.load(ix, log); err != nil {
		return nil, errors.Join(err, d.close())
	}
	s := &Server{opt: opt, log: log, index: ix, disk: d, stall: stall}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends running imports, waits for them and lets go of the directory. It
// does not wait for requests; those that come later are answered with 503. It
// may be called twice.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.imports.Wait()
	return s.disk.close()
}

// caller is who sent a request, as far as this server believes it.
type caller struct {
	project string
	admin   bool
}

// request is one request with what every handler needs of it.
type request struct {
	*http.Request
	id     string // x-openstack-request-id of the answer
	caller caller
	begun  bool // the body is being read
	ended  bool // the body has been read to its end
}

// ServeHTTP answers one request of the Image API v2.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &request{Request: r, id: "req-" + uuid.NewString()}
	w.Header().Set("X-Openstack-Request-Id", req.id)
	s.expect(w)
	s.expectBody(w, req)
	if s.opt.Latency > 0 && image.Pause(r.Context(), s.opt.Latency) != nil {
		return // the caller went away
	}
	if err := s.serve(w, req); err != nil {
		s.fail(w, req, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *request) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return &problem{status: http.StatusServiceUnavailable, text: "The server is shutting down."}
	}
	handle, err := route(r.Request)
	if err != nil {
		return err
	}
	if handle.open {
		return handle.serve(s, w, r)
	}
	if err := s.identify(r); err != nil {
		return err
	}
	return handle.serve(s, w, r)
}

// identify checks the token and finds out who calls.
func (s *Server) identify(r *request) error {
	if s.opt.Token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Auth-Token")), []byte(s.opt.Token)) != 1 {
		return errUnauthorized
	}
	r.caller = caller{project: s.opt.Project, admin: s.opt.Admin}
	if p := r.Header.Get("X-Project-Id"); p != "" {
		r.caller.project = p
	}
	if hasRole(r.Header.Get("X-Roles"), "admin") {
		r.caller.admin = true
	}
	return nil
}

// now is the time that a record gets: whole seconds, UTC.
func (s *Server) now() time.Time { return s.opt.Clock().UTC().Truncate(time.Second) }
