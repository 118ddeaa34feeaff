package client

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// heard is what an Observer has heard, in its order.
type heard struct {
	mu   sync.Mutex // guards the fields below
	all  []string
	took time.Duration // the longest
}

func (h *heard) Ended(kind, code string, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, kind+" "+code)
	h.took = max(h.took, took)
}

func (h *heard) Retried(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, kind+" again")
}

func (h *heard) expect(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.all); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

func TestObserver(t *testing.T) {
	var h heard
	data := []byte("0123456789")
	broken := 0
	c := fake(t, Options{Observer: &h}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case strings.HasSuffix(r.URL.Path, "/file"):
			if broken++; broken == 1 {
				w.Header().Set("Content-Length", "10")
				w.Header().Set("Content-Range", "bytes 0-9/10")
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(data[:4])
				w.(http.Flusher).Flush()
				hangUp(w)
			}
			served(w, r, data)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	body, err := c.OpenSpan(t.Context(), active(10), image.Span{Len: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); string(got) != string(data) {
		t.Errorf("%q, %v", got, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), someID); !image.Is(err, image.NotFound) {
		t.Error(err)
	}
	if err := c.Upload(t.Context(), someID, 3, func() io.Reader { return strings.NewReader("abc") }); !image.Is(err, image.Full) {
		t.Error(err)
	}
	h.expect(t, "open span 206", "open span again", "open span 206", "get 404", "upload 413")
}

// A request without an answer is told of by why; each try is one.
func TestObserverOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		s := &simulated{serve: respond(http.StatusServiceUnavailable, "")}
		c := s.client(t, nil)
		c.options.Observer = &h
		time.AfterFunc(50*time.Millisecond, func() { s.become(refuse) })
		time.AfterFunc(400*time.Millisecond, func() { s.become(good) })
		if _, err := c.Get(t.Context(), someID); err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		all := strings.Join(h.all, ", ")
		h.mu.Unlock()
		if !strings.HasPrefix(all, "get 503, get again, get unreachable, get again, ") || !strings.HasSuffix(all, "get again, get 200") {
			t.Errorf("heard %s", all)
		}
	})
}
