package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// ErrUnderWay says that an answer has not ended in the time that Close had for it.
var ErrUnderWay = errors.New("an answer has not ended")

// Answers are what an HTTP server answers until Close, which waits for their end.
type Answers struct {
	server *http.Server
	cancel context.CancelFunc // ends the context of each answer
	served chan struct{}      // closed when serving has ended
	ended  chan struct{}      // closed when the last answer has ended after Close

	mu       sync.Mutex // guards the fields below
	closed   bool
	underWay int
}

// Serve has the server, whose handler is set, answer what comes to the listener, which it
// closes. failed is told where that ends before Close.
func Serve(listener net.Listener, server *http.Server, failed func(error)) *Answers {
	ctx, cancel := context.WithCancel(context.Background())
	a := &Answers{server: server, cancel: cancel, served: make(chan struct{}), ended: make(chan struct{})}
	// net/http does not end the context of a request behind which more bytes have come.
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Handler = a.untilClose(server.Handler)
	go func() {
		defer close(a.served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	return a
}

func (a *Answers) untilClose(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		if a.closed {
			a.mu.Unlock()
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		a.underWay++
		a.mu.Unlock()
		defer a.end()
		next.ServeHTTP(w, r)
	})
}

func (a *Answers) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.underWay--
	if a.closed && a.underWay == 0 {
		close(a.ended)
	}
}

// Close ends the server and the contexts of its answers, and waits until these have ended,
// or until ctx has: ErrUnderWay. After any other return nothing that the answers are made of
// is used any more. It may be called again.
func (a *Answers) Close(ctx context.Context) error {
	err := a.server.Close()
	<-a.served
	a.cancel()
	a.mu.Lock()
	if !a.closed && a.underWay == 0 {
		close(a.ended)
	}
	a.closed = true
	a.mu.Unlock()
	select {
	case <-a.ended:
		return err
	default: // also where ctx has ended before
	}
	select {
	case <-a.ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, ErrUnderWay)
	}
}
