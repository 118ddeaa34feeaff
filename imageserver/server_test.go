package imageserver

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDocuments(t *testing.T) {
	r := open(t, Options{Token: "secret"})
	token := "X-Auth-Token: secret"
	for path, status := range map[string]int{"/": 300, "/v1/images": 300, "/versions": 200} {
		got := r.want(t, status, "GET", path, "").json(t)["versions"].([]any)
		newest := got[0].(map[string]any)
		link := newest["links"].([]any)[0].(map[string]any)
		if len(got) != 12 || newest["id"] != "v2.16" || newest["status"] != "CURRENT" || link["href"] != r.url+"/v2/" {
			t.Errorf("%s: %v", path, newest)
		}
	}
	if got := r.want(t, http.StatusOK, "GET", "/healthcheck", ""); string(got.body) != "OK" {
		t.Errorf("healthcheck %q", got.body)
	}
	for _, name := range []string{"image", "images", "member", "members"} {
		if got := r.want(t, http.StatusOK, "GET", "/v2/schemas/"+name, "", token).json(t)["name"]; got != name {
			t.Errorf("schema %s is called %v", name, got)
		}
	}
	if got := string(r.want(t, http.StatusOK, "GET", "/v2/info/usage", "", token).body); got != `{"usage":{}}` {
		t.Errorf("usage %s", got)
	}
	if got := string(r.want(t, http.StatusOK, "GET", "/v2/info/import", "", token).body); !strings.Contains(got, `"value":["glance-direct"]`) {
		t.Errorf("import %s", got)
	}
	for _, path := range []string{"/v2/info/stores", "/v2/nope", "/v2/", "/v2/images/", "/v2/schemas/nope", "/v2/images/a/b", "/v2/info"} {
		r.want(t, http.StatusNotFound, "GET", path, "", token)
	}
	r.want(t, http.StatusRequestURITooLong, "GET", "/v2/images/"+strings.Repeat("x", maxPath), "", token)
}

// TestSchemaKnowsTheFormats keeps the schema document and the checks together.
func TestSchemaKnowsTheFormats(t *testing.T) {
	var schema struct {
		Properties map[string]struct{ Enum []any }
	}
	if err := json.Unmarshal([]byte(schemaImage), &schema); err != nil {
		t.Fatal(err)
	}
	for field, known := range map[string][]string{"disk_format": diskFormats, "container_format": containerFormats} {
		enum := schema.Properties[field].Enum
		if len(enum) != len(known)+1 {
			t.Errorf("%s: %v, %v", field, enum, known)
		}
		for i, format := range known {
			if enum[i+1] != format {
				t.Errorf("%s: %v, %v", field, enum, known)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	r := open(t, Options{})
	for _, c := range []struct{ method, path, allow string }{
		{"HEAD", "/v2/images", "GET, POST"},
		{"PUT", "/v2/images", "GET, POST"},
		{"POST", "/v2/images/x", "GET, PATCH, DELETE"},
		{"HEAD", "/v2/images/x/file", "GET, PUT"},
		{"GET", "/v2/images/x/tags/y", "PUT, DELETE"},
		{"GET", "/v2/images/x/actions/deactivate", "POST"},
		{"POST", "/v2/schemas/image", "GET"},
	} {
		got := r.want(t, http.StatusMethodNotAllowed, c.method, c.path, "")
		if got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, got.header.Get("Allow"))
		}
	}
	r.want(t, http.StatusOK, "OPTIONS", "/v2/images", "")
}

func TestToken(t *testing.T) {
	r := open(t, Options{Token: "secret"})
	for _, header := range []string{"Accept: */*", "X-Auth-Token: ", "X-Auth-Token: secre", "X-Auth-Token: secret2"} {
		got := r.want(t, http.StatusUnauthorized, "GET", "/v2/images", "", header)
		if got.header.Get("Www-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
	}
	r.want(t, http.StatusUnauthorized, "GET", "/v2/nope", "")
	r.want(t, http.StatusOK, "GET", "/v2/images", "", "X-Auth-Token: secret")
}

// TestRefusalForms pins the three forms of a refusal, as webob writes them.
func TestRefusalForms(t *testing.T) {
	r := open(t, Options{})
	for accept, want := range map[string]string{
		"text/html":        "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID it&#x27;s&lt;b&gt;<br /><br />\n\n\n\n </body>\n</html>",
		"application/json": `{"code":"404 Not Found","message":"No image found with ID it's<b><br /><br />\n\n\n","title":"Not Found"}`,
		"text/plain":       "404 Not Found\n\nNo image found with ID it's<b>\n\n   ",
	} {
		got := r.want(t, http.StatusNotFound, "GET", "/v2/images/it's%3Cb%3E", "", "Accept: "+accept)
		if string(got.body) != want || !strings.HasPrefix(got.header.Get("Content-Type"), accept) {
			t.Errorf("%s: %q", accept, got.body)
		}
	}
}

// TestPaths pins that no id reaches the disk unchecked.
func TestPaths(t *testing.T) {
	r := open(t, Options{})
	for _, id := range []string{"..", "%2e%2e", "..%2f..%2fetc%2fpasswd", ".", "%00", "x%0Ay", strings.Repeat("a", 36)} {
		for _, sub := range []string{"", "/file"} {
			got := r.do(t, "GET", "/v2/images/"+id+sub, nil)
			if got.status != http.StatusNotFound && got.status != http.StatusMultipleChoices {
				t.Errorf("GET %s%s: %d %s", id, sub, got.status, got.body)
			}
		}
	}
	for text, want := range map[string]bool{
		"11111111-2222-4333-8444-555555555555": true, "ABCDEF00-0000-4000-8000-00000000BEEF": true,
		"": false, "11111111-2222-4333-8444-55555555555": false, "11111111-2222-4333-8444-5555555555555": false,
		"11111111x2222-4333-8444-555555555555": false, "../11111-2222-4333-8444-555555555555": false,
	} {
		if validID(text) != want {
			t.Errorf("validID(%q) is %v", text, !want)
		}
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Dir: t.TempDir(), Latency: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		begun := time.Now()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/v2/images", nil))
		if took := time.Since(begun); took != time.Minute || w.Code != http.StatusOK {
			t.Errorf("%d after %v", w.Code, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/images", nil).WithContext(ctx))
		if took := time.Since(begun); took != time.Second {
			t.Errorf("a caller who left was waited for %v", took)
		}
	})
}

// TestStall sends half an upload, and reads none of a download, over
// connections that stay open.
func TestStall(t *testing.T) {
	r := open(t, Options{NoSync: true})
	r.stall = 50 * time.Millisecond
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	r.cut(t, id, "half", 8)
	r.eventually(t, id, "saving")
	r.eventually(t, id, "queued")

	var text bytes.Buffer
	logged := make(chan struct{})
	r.log = slog.New(slog.NewTextHandler(&signal{w: &text, word: "download cut off", seen: logged}, nil))
	large := r.newActive(t, strings.Repeat("x", 32<<20)) // more than the sockets hold
	resp, err := http.Get(r.url + "/v2/images/" + large + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-logged
}

// signal closes seen when a line has the word.
type signal struct {
	w    *bytes.Buffer
	word string
	seen chan struct{}
}

func (s *signal) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.word) {
		close(s.seen)
	}
	return s.w.Write(p)
}

func TestClosed(t *testing.T) {
	r := open(t, Options{})
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	r.want(t, http.StatusServiceUnavailable, "GET", "/v2/images", "")
}

func TestNewFails(t *testing.T) {
	dir := t.TempDir()
	write(t, "a file", dir, "file")
	for _, bad := range []string{"", dir + "/file"} {
		if s, err := New(Options{Dir: bad}); err == nil {
			t.Errorf("New(%q) is well; %v", bad, s.Close())
		}
	}
}
