package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/metrics"
)

// hostile is a name that would be markup, were it not text.
const hostile = `</script><img src=x onerror=alert(1)>`

// fetch asks a handler of the server's and returns its answer.
func fetch(t *testing.T, o Options, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	SameHost(false, routes(o)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, nil))
	return w
}

func sample() Options {
	return Options{
		Metrics: http.NotFoundHandler(),
		Snapshot: func() metrics.Snapshot {
			return metrics.Snapshot{Mountpoint: hostile, Uploads: []metrics.Upload{{Name: hostile}}}
		},
		Blocks: func() metrics.Blocks {
			return metrics.Blocks{BlockSize: 4, Images: []metrics.ImageBlocks{{ID: "a", Name: hostile, Size: 9, BlocksPerCell: 1, Memory: []int{1, 0, 0}, Disk: []int{0, 1, 0}, InFlight: []int{0, 0, 1}}}}
		},
	}
}

// The page is one answer: what is in it runs, and nothing else.
func TestPageIsWholeAndStrict(t *testing.T) {
	w := fetch(t, sample(), "GET", "/")
	text, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%d of <%s>", len(found), tag)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if !strings.Contains(policy, tag+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy does not allow the page's <%s>: %s", tag, policy)
		}
	}
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in the policy", want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// The namespace of SVG is a name, and nothing is fetched from there.
	rest := strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
	for _, never := range []string{"://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick", "@import", "url("} {
		if strings.Contains(rest, never) {
			t.Errorf("the page has %q", never)
		}
	}
}

func TestAPI(t *testing.T) {
	for path, into := range map[string]any{"/api/status": &metrics.Snapshot{}, "/api/blocks": &metrics.Blocks{}} {
		w := fetch(t, sample(), "GET", path)
		text, h := w.Body.String(), w.Header()
		if w.Code != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, h)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(text, "<>") {
			t.Errorf("%s: a browser that were to take it for a page would find markup: %s", path, text)
		}
		if diff := cmp.Diff(map[string]any{"/api/status": ptr(sample().Snapshot()), "/api/blocks": ptr(sample().Blocks())}[path], into); diff != "" {
			t.Error(diff)
		}
	}
	for _, path := range []string{"/", "/api/status", "/api/blocks"} {
		for method, code := range map[string]int{"HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405} {
			if w := fetch(t, sample(), method, path); w.Code != code {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	if w := fetch(t, sample(), "GET", "/index.html"); w.Code != 404 {
		t.Errorf("what there is not: %d", w.Code)
	}
}

func ptr[T any](v T) *T { return &v }

// The largest answer has a bound that a browser holds each second.
func TestBlocksAreBounded(t *testing.T) {
	o, most := sample(), make([]int, metrics.MostCells)
	for i := range most {
		most[i] = 1 << 20 // blocks: of an image of 64 TiB
	}
	name := strings.Repeat("<", 255) // bytes: the longest entry, each six in JSON
	o.Blocks = func() (b metrics.Blocks) {
		for range metrics.MostImages {
			b.Images = append(b.Images, metrics.ImageBlocks{Name: name, Memory: most, Disk: most, InFlight: most})
		}
		return b
	}
	if n := fetch(t, o, "GET", "/api/blocks").Body.Len(); n > 256<<10 {
		t.Errorf("%d bytes", n)
	}
}

// However many look, the daemon gathers twice a second.
func TestAnswersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gathered atomic.Int64
		a := newAPI(func() any { return gathered.Add(1) })
		for range 100 {
			go a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		}
		synctest.Wait()
		if n := gathered.Load(); n != 1 {
			t.Errorf("gathered %d times", n)
		}
		time.Sleep(freshFor)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		if w.Body.String() != "2" {
			t.Errorf("later: %s", w.Body)
		}
	})
}
