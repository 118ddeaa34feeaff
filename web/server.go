package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/imagefs/imagefs/metrics"
)

const (
	// maxHeader, in bytes, bounds the header of a request. A browser's has one kilobyte.
	maxHeader = 16 << 10
	// requestTime bounds the reading of a request, which has no body, and answerTime that
	// of its answer by a slow line. A profile may take its own time beyond that.
	requestTime = 5 * time.Second
	answerTime  = 30 * time.Second
	// idleTime is longer than the minute between two scrapes, so that a collector keeps
	// its connection.
	idleTime = 2 * time.Minute
)

// Options of a Server.
type Options struct {
	Address string // HOST:PORT; port 0 takes a free one
	// Snapshot is called by each answer, perhaps by several at once.
	Snapshot func() metrics.Snapshot
	// Blocks is called by one answer at a time.
	Blocks  func() metrics.Blocks
	Metrics http.Handler // answers /metrics
	Pprof   bool         // serve /debug/pprof
	Log     *slog.Logger
}

// Server answers until Close.
type Server struct {
	answers *Answers
	address *net.TCPAddr
}

// Listen takes the address and answers there.
func Listen(ctx context.Context, o Options) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	s := &Server{address: listener.Addr().(*net.TCPAddr)}
	places := connections{open: map[net.Conn]struct{}{}}
	s.answers = Serve(netutil.LimitListener(listener, mostConnections), &http.Server{
		Handler: SameHost(s.Open(), routes(o)), ConnState: places.changed,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}, func(err error) { o.Log.Warn("metrics can no longer be asked for", "error", err) })
	return s, nil
}

// routes are what is served. All is read by GET (and HEAD).
func routes(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", newPage())
	mux.Handle("GET /api/status", newAPI(func() any { return o.Snapshot() }))
	mux.Handle("GET /api/blocks", newAPI(func() any { return o.Blocks() }))
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, o.Snapshot()) })
	if o.Pprof {
		addProfiles(mux)
	}
	return mux
}

// health answers 200, or 503 and why, in one line.
func health(w http.ResponseWriter, s metrics.Snapshot) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	line := s.Ill()
	if line != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		line = "ok"
	}
	_, _ = fmt.Fprintln(w, line) // who asked may have gone
}

// URL is where the server answers.
func (s *Server) URL() string { return "http://" + s.address.String() }

// Open reports whether other hosts may reach it.
func (s *Server) Open() bool { return !s.address.IP.IsLoopback() }

// Close ends the server and every answer under way, as [Answers.Close] does.
func (s *Server) Close(ctx context.Context) error { return s.answers.Close(ctx) }
