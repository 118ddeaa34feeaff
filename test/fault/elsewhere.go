package fault

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// elsewhere is another host, to which requests are redirected: it has the same service
// behind it, which it asks with a token that it took nobody's word for.
type elsewhere struct {
	url    string
	server *http.Server
	ended  chan error
	leaked atomic.Int64 // requests that brought a token along
	token  atomic.Value // string: what the redirected request was asked with
}

func newElsewhere(service http.Handler) (*elsewhere, error) {
	l, err := net.Listen("tcp", "127.0.0.2:0") // another host, not only another port
	if err != nil {
		return nil, err
	}
	e := &elsewhere{url: "http://" + l.Addr().String(), ended: make(chan error, 1)}
	e.server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Auth-Token") != "" || r.Header.Get("X-Subject-Token") != "" {
				e.leaked.Add(1)
			}
			if token, ok := e.token.Load().(string); ok && token != "" {
				r.Header.Set("X-Auth-Token", token)
			}
			service.ServeHTTP(w, r)
		}),
	}
	go func() { e.ended <- e.server.Serve(l) }()
	return e, nil
}

func (e *elsewhere) close() error {
	err := e.server.Close()
	if ended := <-e.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
