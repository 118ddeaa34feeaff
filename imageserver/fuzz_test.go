package imageserver

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// lastLine is the last line of a log; nil where there was none.
type lastLine struct{ atomic.Pointer[string] }

func (l *lastLine) Write(p []byte) (int, error) {
	line := string(p)
	l.Store(&line)
	return len(p), nil
}

// FuzzRequest: whatever is asked, the answer is no failure of the server's own.
func FuzzRequest(f *testing.F) {
	const at = "/v2/images/ID"
	for _, r := range []struct{ method, path, query, kind, body string }{
		{"GET", "/v2/images", "name=in:a,b&sort=name:asc,size&limit=5&marker=x&created_at=gte:2026-01-01T00:00:00Z&os_hidden=true&status=in:active", "", ""},
		{"GET", "/v2/images", "sort_key=name&sort_dir=desc&sort_key=id&tag=a&size_min=1&size_max=x&visibility=all&member_status=all", "", ""},
		{"GET", at, "", "", ""}, {"GET", at + "/file", "", "bytes=0-1", ""}, {"GET", at + "/members", "", "", ""}, {"GET", "/v2/schemas/images", "", "", ""},
		{"POST", "/v2/images", "", "application/json", `{"id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "name": "x", "tags": ["a"], "min_disk": 1, "x": "y", "os_hidden": true}`},
		{"POST", "/v2/images", "", "application/json", `{"name": {}, "id": 5, "disk_format": "zip", "tags": [null]}`},
		{"PATCH", at, "", patchType, `[{"op":"replace","path":"/name","value":"y"},{"op":"remove","path":"/x"}]`},
		{"PUT", at + "/file", "", octetStream, "bytes"}, {"PUT", at + "/stage", "", octetStream, "bytes"}, {"PUT", at + "/tags/a", "", "", ""},
		{"POST", at + "/import", "", "application/json", `{"method": {"name": "glance-direct"}, "stores": ["x"]}`},
		{"POST", at + "/members", "", "application/json", `{"member": "p"}`}, {"PUT", at + "/members/p", "", "application/json", `{"status": "accepted"}`},
		{"POST", at + "/actions/deactivate", "", "", ""}, {"DELETE", at, "", "", ""}, {"GET", "/v2/info/usage", "", "", ""}, {"GET", "/", "", "", ""},
	} {
		f.Add(r.method, r.path, r.query, r.kind, []byte(r.body))
	}
	var log lastLine
	s, err := New(Options{Dir: f.TempDir(), NoSync: true, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, method, path, query, kind string, body []byte) {
		ask := func(method, path, query, kind string, body []byte) *httptest.ResponseRecorder {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://server.example/", bytes.NewReader(body))
			if err != nil {
				t.Skip("net/http lets no such method in")
			}
			r.URL = &url.URL{Path: path, RawQuery: query}
			r.Header.Set("Content-Type", kind)
			r.Header.Set("Range", kind)
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, r)
			return answer
		}
		var made struct {
			ID string `json:"id"`
		}
		text := ask(http.MethodPost, "/v2/images", "", "application/json", []byte(`{"name": "there", "x": "y", "disk_format": "raw", "container_format": "bare"}`)).Body.Bytes()
		if err := json.Unmarshal(text, &made); err != nil {
			t.Fatal(err)
		}
		answer := ask(method, strings.Replace(path, "ID", made.ID, 1), query, kind, body)
		if line := log.Load(); line != nil { // some answers are 500 as the real service's, and no failure
			t.Fatalf("%s %q?%s with %q %q: %d %s\n%s", method, path, query, kind, body, answer.Code, answer.Body, *line)
		}
		// So that the directory does not grow, and what is left can be deleted.
		if code := ask(http.MethodDelete, "/v2/images/"+made.ID, "", "", nil).Code; code >= http.StatusInternalServerError {
			t.Errorf("after %s %q the image cannot be deleted: %d", method, path, code)
		}
	})
}
