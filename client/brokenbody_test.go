package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// TestResume: a body that breaks goes on at its offset, with the same bytes.
func TestResume(t *testing.T) {
	data := randomBytes(400_000)
	for _, whole := range []bool{false, true} {
		var tries atomic.Int32
		c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if tries.Add(1) > 3 {
				served(w, r, data)
				return
			}
			served(&cutWriter{ResponseWriter: w, left: 90_001}, r, data)
		})
		body, err := c.OpenSpan(t.Context(), active(int64(len(data))), image.Span{Off: 100, Len: 399_000})
		want := data[100:399_100]
		if whole {
			body, err = c.OpenWhole(t.Context(), active(int64(len(data))))
			want = data
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, body); !bytes.Equal(got, want) {
			t.Errorf("whole %v: %d other bytes", whole, len(got))
		}
		if tries.Load() != 4 {
			t.Errorf("whole %v: %d requests", whole, tries.Load())
		}
	}
}

// cutWriter ends the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) >= w.left {
		_, _ = w.ResponseWriter.Write(p[:w.left])
		http.NewResponseController(w.ResponseWriter).Flush()
		hangUp(w)
	}
	w.left -= len(p)
	return w.ResponseWriter.Write(p)
}

// TestWholeRestarts: without ranges a broken stream is begun again and skipped, a
// bounded number of times.
func TestWholeRestarts(t *testing.T) {
	data := randomBytes(300_000)
	for _, c := range []struct {
		breaks int32
		ok     bool
	}{{2, true}, {99, false}} {
		var plain atomic.Int32
		client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if n := plain.Add(1); n <= c.breaks {
				served(&cutWriter{ResponseWriter: w, left: 70_000 * int(n)}, r, data)
				return
			}
			served(w, r, data)
		})
		body, err := client.OpenWhole(t.Context(), active(int64(len(data))))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if c.ok && (err != nil || !bytes.Equal(got, data)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if !c.ok {
			wantKind(t, err, image.Unavailable)
		}
		if !bytes.Equal(got, data[:len(got)]) {
			t.Error("other bytes")
		}
		if want := min(c.breaks, wholeRestarts) + 1; plain.Load() != want {
			t.Errorf("%d whole requests, want %d", plain.Load(), want)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTruncated: a body that always ends early fails in bounded tries; without a
// length it is the service that is wrong, with one the connection.
func TestTruncated(t *testing.T) {
	for _, c := range []struct {
		length bool
		want   image.Kind
	}{{true, image.Unavailable}, {false, image.Corrupt}} {
		var tries atomic.Int32
		client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			tries.Add(1)
			var from int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-999/1000", from))
			if c.length {
				w.Header().Set("Content-Length", fmt.Sprint(1000-from))
			}
			w.WriteHeader(http.StatusPartialContent)
			if !c.length { // else net/http would find it out
				http.NewResponseController(w).Flush()
			}
			if from == 0 {
				_, _ = io.WriteString(w, strings.Repeat("x", 500))
			}
		})
		body, err := client.OpenSpan(t.Context(), active(1000), image.Span{Len: 1000})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		wantKind(t, err, c.want)
		if len(got) != 500 {
			t.Errorf("%d bytes", len(got))
		}
		if _, again := body.Read(make([]byte, 1)); !errors.Is(again, err) {
			t.Errorf("then %v", again)
		}
		_ = body.Close()
		if n := int(tries.Load()); n != 1+quickRetries.resumes {
			t.Errorf("%d tries", n)
		}
	}
}

// TestStalledBody: bytes that do not come.
func TestStalledBody(t *testing.T) {
	release := make(chan struct{})
	var tries atomic.Int32
	c := fake(t, Options{Stall: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	c.ranges.remember(someID)
	body, err := c.OpenWhole(t.Context(), active(1000))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(body)
	wantKind(t, err, image.Stalled)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if tries.Load() > 2 {
		t.Errorf("%d tries of a stall", tries.Load())
	}
}
