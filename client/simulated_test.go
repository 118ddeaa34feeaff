package client

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// simulated is a service behind a transport that uses no network, so that its minutes
// pass at once in a bubble.
type simulated struct {
	mu    sync.Mutex // guards the fields below
	serve http.RoundTripper
	asked []time.Time
	stall time.Duration // of its client; 0: the default
}

// behaviour is how a service answers.
type behaviour func(*http.Request) (*http.Response, error)

func (b behaviour) RoundTrip(r *http.Request) (*http.Response, error) { return b(r) }

func (s *simulated) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	serve := s.serve
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	return serve.RoundTrip(r)
}

func (s *simulated) become(serve http.RoundTripper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = serve
}

// requests is how many came in [from, to).
func (s *simulated) requests(from, to time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.asked {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// client is a client of the service with the retries that users get.
func (s *simulated) client(t *testing.T, log *slog.Logger) *Client {
	t.Helper()
	o := Options{Logger: log, Stall: s.stall}.withDefaults()
	plain := &http.Client{Transport: &watchdog{next: s, stall: o.Stall, answer: o.Stall}}
	session, _, err := newSession(t.Context(), &access{endpoint: "http://service"}, plain, o)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(o, &transports{plain: plain, upload: plain, identity: plain}, session)
	c.retries.budget = budgetOf(o.Stall)
	c.base = "http://service/v2"
	return c
}

func respond(status int, body string, header ...string) http.RoundTripper {
	return behaviour(func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
	})
}

// redirectTo sends requests to another host, which is answered for by there.
func redirectTo(target string, there http.RoundTripper) http.RoundTripper {
	return behaviour(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "service" {
			return there.RoundTrip(r)
		}
		return respond(http.StatusFound, "", "Location", target).RoundTrip(r)
	})
}

var refuse = behaviour(func(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
})

var hang = behaviour(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

var good = respond(http.StatusOK, record(someID, ""))

// between is how long a reader of a crowd waits before it asks again.
const between = 3 * time.Second

// crowd are readers who each ask for a record, wait a while, and ask again until end.
func crowd(c *Client, n int, end time.Time, each func(took time.Duration, err error)) {
	var readers sync.WaitGroup
	for range n {
		readers.Go(func() {
			for time.Now().Before(end) {
				begun := time.Now()
				_, err := c.Get(context.Background(), someID)
				each(time.Since(begun), err)
				time.Sleep(between)
			}
		})
	}
	readers.Wait()
}
