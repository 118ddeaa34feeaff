package web

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/metrics"
)

// listen starts a server that says what snapshot says.
func listen(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Metrics == nil {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x 1\n") })
	}
	o.Log = slog.New(slog.DiscardHandler)
	s, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask makes one request, with a connection of its own.
func ask(t *testing.T, method, url, host string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestRoutes(t *testing.T) {
	healthy := func() metrics.Snapshot { return metrics.Snapshot{State: metrics.StateMounted} }
	plain, profiled := listen(t, Options{Snapshot: healthy}), listen(t, Options{Snapshot: healthy, Pprof: true})
	for _, tc := range []struct {
		server       *Server
		method, path string
		host         string
		code         int
		says         string
	}{
		{plain, "GET", "/metrics", "", 200, "x 1\n"},
		{plain, "GET", "/healthz", "", 200, "ok\n"},
		{plain, "HEAD", "/healthz", "", 200, ""},
		{plain, "POST", "/metrics", "", 405, ""},
		{plain, "DELETE", "/healthz", "", 405, ""},
		{plain, "GET", "/debug/pprof/", "", 404, ""},
		{plain, "GET", "/debug/pprof/goroutine", "", 404, ""},
		{profiled, "GET", "/debug/pprof/goroutine?debug=1", "", 200, "goroutine profile"},
		{profiled, "POST", "/debug/pprof/symbol", "", 405, ""},
		// A page of the web that has its name lead here.
		{plain, "GET", "/metrics", "rebound.example", 421, "localhost"},
		{plain, "GET", "/metrics", "localhost:1", 200, ""},
		{plain, "GET", "/metrics", "[::1]", 200, ""},
		{plain, "GET", "/metrics", "127.0.0.1.example:80", 421, ""},
	} {
		code, body := ask(t, tc.method, tc.server.URL()+tc.path, tc.host)
		if code != tc.code || !strings.Contains(body, tc.says) {
			t.Errorf("%s %s for %q: %d %q", tc.method, tc.path, tc.host, code, body)
		}
	}
}

func TestHealth(t *testing.T) {
	mounted := metrics.Snapshot{Mountpoint: "/m", State: metrics.StateMounted}
	ending, away, slow := mounted, mounted, mounted
	ending.State = metrics.StateEnding
	away.Service.Trouble = []metrics.Trouble{{Service: "image", Error: "list: unreachable:\nrefused", Away: true}}
	slow.Service.Trouble = []metrics.Trouble{{Service: "image", Error: "list: 503"}}
	now := mounted
	s := listen(t, Options{Snapshot: func() metrics.Snapshot { return now }})
	for _, tc := range []struct {
		name string
		is   metrics.Snapshot
		code int
		says string
	}{
		{"mounted", mounted, 200, "ok\n"},
		{"before", metrics.Snapshot{Mountpoint: "/m", State: metrics.StateMounting}, 503, "/m: mounting\n"},
		{"ending", ending, 503, "/m: ending\n"},
		{"away", away, 503, "the image service has failed for "},
		{"failing, and waited for", slow, 200, "ok\n"},
	} {
		now = tc.is
		code, body := ask(t, "GET", s.URL()+"/healthz", "")
		if code != tc.code || !strings.HasPrefix(body, tc.says) || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %q", tc.name, code, body)
		}
	}
}

// An address that others reach may have any name, of a proxy for example.
func TestOpenAddress(t *testing.T) {
	for ip, open := range map[string]bool{"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": true, "::": true, "192.0.2.1": true} {
		if s := (&Server{address: &net.TCPAddr{IP: net.ParseIP(ip)}}); s.Open() != open {
			t.Errorf("others reach %s: %v", ip, s.Open())
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://gate.example/", nil)
	SameHost(true, http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 404 {
		t.Errorf("code %d", w.Code)
	}
}

func TestAddressIsTaken(t *testing.T) {
	s := listen(t, Options{})
	if _, err := Listen(t.Context(), Options{Address: s.address.String()}); err == nil {
		t.Error("the address was had twice")
	}
}

// Close ends an answer under way, and returns when nothing of it is used any more.
func TestCloseEndsAnswers(t *testing.T) {
	began, left := make(chan struct{}), false
	s := listen(t, Options{Metrics: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		left = true
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asked := make(chan error)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/metrics", nil)
		if err == nil {
			var resp *http.Response
			if resp, err = new(http.Transport).RoundTrip(req); err == nil {
				err = resp.Body.Close()
			}
		}
		asked <- err
	}()
	<-began
	if err := s.Close(t.Context()); err != nil || !left {
		t.Errorf("%v; the answer has ended: %v", err, left)
	}
	if err := <-asked; err == nil {
		t.Error("the request has succeeded")
	}
}

// Neither does more of a connection after the request hold an answer beyond the end, which
// net/http would not tell of it.
func TestCloseEndsAnswersWithMoreBehind(t *testing.T) {
	began := make(chan struct{})
	s := listen(t, Options{Metrics: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})})
	conn := s.dial(t)
	send(t, conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-began
	send(t, conn, "G")
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Profiles, which anybody may have gathered, end by themselves within minutes.
func TestProfilesAreBounded(t *testing.T) {
	for _, path := range []string{"profile", "trace", "heap"} {
		for _, seconds := range []string{"301", "1e9", "Inf", "NaN"} {
			if w := fetch(t, Options{Pprof: true, Metrics: http.NotFoundHandler()}, "GET", "/debug/pprof/"+path+"?seconds="+seconds); w.Code != 400 {
				t.Errorf("%s for %s s: %d", path, seconds, w.Code)
			}
		}
	}
}

func (s *Server) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may have been
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}
