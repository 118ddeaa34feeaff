package imageserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server with a listener of its own.
type rig struct {
	*Server
	url string
	web *httptest.Server
}

func open(t testing.TB, opt Options) *rig {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	r := &rig{Server: s, url: web.URL, web: web}
	t.Cleanup(func() { r.end(t) })
	return r
}

// end closes listener and server; it may be called twice.
func (r *rig) end(t testing.TB) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	r.web.Close()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (p reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(p.body, &v); err != nil {
		t.Fatalf("status %d, body %q: %v", p.status, p.body, err)
	}
	return v
}

// do sends a request; header is a list of "Name: value".
func (r *rig) do(t testing.TB, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	p, err := r.try(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return p
}

func (r *rig) try(method, path string, body io.Reader, header ...string) (reply, error) {
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		return reply{}, err
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, text}, err
}

func (r *rig) want(t testing.TB, status int, method, path, body string, header ...string) reply {
	t.Helper()
	p := r.do(t, method, path, strings.NewReader(body), header...)
	if p.status != status {
		t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, body, p.status, status, p.body)
	}
	if p.header.Get("X-Openstack-Request-Id") == "" {
		t.Errorf("%s %s: no request id", method, path)
	}
	return p
}

const (
	octetStream = "Content-Type: application/octet-stream"
	patchType   = "Content-Type: " + patchV21
)

// create makes an image from JSON fields without the braces and returns its id.
func (r *rig) newImage(t testing.TB, fields string, header ...string) string {
	t.Helper()
	return r.want(t, http.StatusCreated, "POST", "/v2/images", "{"+fields+"}", header...).json(t)["id"].(string)
}

// newActive makes an image with data.
func (r *rig) newActive(t testing.TB, data string, header ...string) string {
	t.Helper()
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`, header...)
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/file", data, append(header, octetStream)...)
	return id
}

func (r *rig) status(t testing.TB, id string) string {
	t.Helper()
	return r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)["status"].(string)
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) time() time.Time         { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// names lists the images of a page by name, in order.
func names(p map[string]any) string {
	var b bytes.Buffer
	for _, item := range p["images"].([]any) {
		fmt.Fprintf(&b, "%v ", item.(map[string]any)["name"])
	}
	return strings.TrimSpace(b.String())
}
