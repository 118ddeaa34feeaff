package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	someID  = "5d2c7f4e-1111-4222-8333-944455556666"
	otherID = "6d2c7f4e-1111-4222-8333-944455556666"
)

// quickRetries are the retries of tests that use a real socket.
var quickRetries = retries{first: time.Millisecond, most: 2 * time.Millisecond, budget: 10 * time.Second, resumes: 4, dialBudget: time.Second}

// tester is what they need of a test, one of rapid's too.
type tester interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
	Context() context.Context
}

// fake is a client of a service that the test writes, without discovery.
func fake(t tester, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	return bare(t, o, fakeServer(t, handler))
}

func fakeServer(t tester, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func bare(t tester, o Options, url string) *Client {
	t.Helper()
	o = o.withDefaults()
	tr := newTransports(o, nil)
	s, _, err := newSession(t.Context(), &access{endpoint: url, token: o.Token}, tr.identity, o)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(o, tr, s)
	c.base, c.retries = url+"/v2", quickRetries
	t.Cleanup(c.Close)
	return c
}

// hangUp ends the connection without an answer, or in the middle of one.
func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func record(id string, more string) string {
	return fmt.Sprintf(`{"id": %q, "status": "queued", "name": "n", "size": null%s}`, id, more)
}

func active(size int64) image.Image {
	return image.Image{ID: someID, Status: image.StatusActive, Size: size}
}

// served answers a range of data as Glance does.
func served(w http.ResponseWriter, r *http.Request, data []byte) {
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
		return
	}
	to = min(to, len(data)-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
	w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(data[from : to+1])
}

// keystone is an Identity service that issues numbered tokens.
type keystone struct {
	*httptest.Server
	image  string // the Image service's URL in the catalog
	global bool   // its tokens are for no project
	issued atomic.Int32
	status atomic.Int32 // other than 0: what every request is answered with
	hold   chan struct{}

	mu   sync.Mutex // guards the field below
	auth []string   // bodies of token requests
}

func newKeystone(t *testing.T, image string) *keystone {
	t.Helper()
	k := &keystone{image: image}
	k.Server = httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(k.Close)
	return k
}

func (k *keystone) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if k.hold != nil {
		select {
		case <-k.hold:
		case <-r.Context().Done():
		}
	}
	if s := int(k.status.Load()); s != 0 {
		w.WriteHeader(s)
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "no"}}`, s)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		fmt.Fprint(w, `{"version": {"id": "v3.14", "status": "stable"}}`)
		return
	}
	k.mu.Lock()
	k.auth = append(k.auth, string(body))
	k.mu.Unlock()
	w.Header().Set("X-Subject-Token", fmt.Sprintf("token-%d", k.issued.Add(1)))
	w.WriteHeader(http.StatusCreated)
	endpoint := func(region, iface, url string) map[string]string {
		return map[string]string{"region": region, "region_id": region, "interface": iface, "url": url}
	}
	token := map[string]any{
		"user": map[string]any{"id": "u1", "name": "ursula"}, "project": map[string]any{"id": "p1", "name": "proj"},
		"catalog": []any{map[string]any{"type": "image", "name": "glance", "endpoints": []any{
			endpoint("far", "public", "http://127.0.0.1:1/far"),
			endpoint("near", "internal", k.image+"/internal"),
			endpoint("near", "public", k.image),
		}}},
	}
	if k.global {
		delete(token, "project")
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token})
}

// setOS clears the environment of OS_* and sets what is given.
func setOS(t *testing.T, pairs ...string) {
	t.Helper()
	for _, name := range []string{"CLOUD", "CLIENT_CONFIG_FILE", "AUTH_TYPE", "AUTH_URL", "USERNAME", "USER_ID", "PASSWORD", "PROJECT_NAME", "PROJECT_ID",
		"USER_DOMAIN_NAME", "USER_DOMAIN_ID", "PROJECT_DOMAIN_NAME", "PROJECT_DOMAIN_ID", "DOMAIN_NAME", "DOMAIN_ID", "TOKEN", "REGION_NAME",
		"INTERFACE", "ENDPOINT_TYPE", "SYSTEM_SCOPE", "IMAGE_ENDPOINT_OVERRIDE", "CACERT", "INSECURE", "APPLICATION_CREDENTIAL_ID", "APPLICATION_CREDENTIAL_SECRET", "APPLICATION_CREDENTIAL_NAME"} {
		t.Setenv("OS_"+name, "")
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv("OS_"+pairs[i], pairs[i+1])
	}
}

// glance answers discovery and an empty listing below prefix, to tokens that
// allowed accepts.
func glance(prefix string, allowed func(token string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, prefix)
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case path == "/":
			w.WriteHeader(http.StatusMultipleChoices)
			fmt.Fprint(w, `{"versions": [{"id": "v2.16", "status": "CURRENT"}, {"id": "v2.0"}]}`)
		case !allowed(r.Header.Get(headerToken)):
			w.WriteHeader(http.StatusUnauthorized)
		case path == "/v2/images":
			fmt.Fprint(w, `{"images": []}`)
		default:
			fmt.Fprint(w, record(someID, ""))
		}
	}
}

func anyToken(string) bool { return true }

// logged is a logger whose lines a test can read.
func logged() (*slog.Logger, *bytes.Buffer) {
	var lines bytes.Buffer
	return slog.New(slog.NewTextHandler(&lines, nil)), &lines
}
