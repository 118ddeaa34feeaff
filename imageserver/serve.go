package imageserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerTime is how long a caller may take to send the head of a request.
	headerTime = 30 * time.Second
	// idleTime is how long a connection without a request stays open.
	idleTime = 2 * time.Minute
	// shutdownTime is how long requests under way may go on once the server is
	// told to end; then their connections are closed.
	shutdownTime = 10 * time.Second
)

// Serve answers on the listener, which it closes, until ctx ends; then requests
// under way get ten seconds. Bodies have no time limit as long as they make
// progress. The Server is still to be closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return errors.Join(err, h.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := h.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests still under way are cut off")
		err = h.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
