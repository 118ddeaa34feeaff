package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// TestSpanAnswers: what an answer to a span means.
func TestSpanAnswers(t *testing.T) {
	const size = 1000
	data := randomBytes(size)
	part := func(contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
	for _, c := range []struct {
		name     string
		span     image.Span
		handler  http.HandlerFunc
		want     image.Kind // Other: the bytes come
		remember bool
	}{
		{"right", image.Span{Off: 10, Len: 20}, part("bytes 10-29/1000", data[10:30]), image.Other, false},
		{"other start", image.Span{Off: 10, Len: 20}, part("bytes 9-28/1000", data[9:29]), image.Corrupt, false},
		{"other end", image.Span{Off: 10, Len: 20}, part("bytes 10-30/1000", data[10:31]), image.Corrupt, false},
		{"other total", image.Span{Off: 10, Len: 20}, part("bytes 10-29/1001", data[10:30]), image.Corrupt, false},
		{"unknown total", image.Span{Off: 10, Len: 20}, part("bytes 10-29/*", data[10:30]), image.Corrupt, false},
		{"no content range", image.Span{Off: 10, Len: 20}, part("", data[10:30]), image.Corrupt, false},
		{"other length", image.Span{Off: 10, Len: 20}, part("bytes 10-29/1000", data[10:25]), image.Corrupt, false},
		{"whole from the start", image.Span{Off: 0, Len: 20}, whole, image.Other, true},
		{"whole for the whole", image.Span{Off: 0, Len: size}, whole, image.Other, false},
		{"whole for the middle", image.Span{Off: 10, Len: 20}, whole, image.NoRanges, true},
		{"400", image.Span{Off: 10, Len: 20}, status(400), image.NoRanges, true},
		{"416", image.Span{Off: 10, Len: 20}, status(416), image.Corrupt, false},
		{"403", image.Span{Off: 10, Len: 20}, status(403), image.Forbidden, false},
		{"404", image.Span{Off: 10, Len: 20}, status(404), image.NotFound, false},
		{"410", image.Span{Off: 10, Len: 20}, status(410), image.NotFound, false},
		{"500", image.Span{Off: 10, Len: 20}, status(500), image.Unavailable, false},
		{"gzip", image.Span{Off: 0, Len: size}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			whole(w, r)
		}, image.UnexpectedAnswer, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Range") == "" {
					t.Errorf("header %v", r.Header)
				}
				c.handler(w, r)
			})
			body, err := client.OpenSpan(t.Context(), active(size), c.span)
			if c.want != image.Other {
				wantKind(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			} else if got := readAll(t, body); !bytes.Equal(got, data[c.span.Off:c.span.End()]) {
				t.Errorf("%d other bytes", len(got))
			}
			before := asked.Load()
			body, err = client.OpenSpan(t.Context(), active(size), c.span)
			if c.remember {
				wantKind(t, err, image.NoRanges)
			}
			if err == nil {
				_ = body.Close()
			}
			if again := asked.Load() > before; again == c.remember {
				t.Errorf("asked again: %v", again)
			}
		})
	}
}

// TestWrongAnswerOnce: an answer with other data than was asked for is asked for once
// more.
func TestWrongAnswerOnce(t *testing.T) {
	data := randomBytes(1000)
	for wrong, want := range map[int32]image.Kind{1: image.Other, 2: image.Corrupt} {
		var asked atomic.Int32
		c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			from := 10
			if asked.Add(1) <= wrong {
				from = 9
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/1000", from, from+19))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[from : from+20])
		})
		body, err := c.OpenSpan(t.Context(), active(1000), image.Span{Off: 10, Len: 20})
		if want != image.Other {
			wantKind(t, err, want)
		} else if err != nil {
			t.Error(err)
		} else if got := readAll(t, body); !bytes.Equal(got, data[10:30]) {
			t.Errorf("%d other bytes", len(got))
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("%d requests", n)
		}
	}
}

// TestDataGoesBeforeItsRecord: an image that is being deleted has no data for a while,
// and then is not there. What has lost its data, and what only a proxy said to have
// none, is asked for as long as anything else.
func TestDataGoesBeforeItsRecord(t *testing.T) {
	data := randomBytes(1000)
	for _, c := range []struct {
		name   string
		absent int32 // answers without data; 0: all
		then   http.HandlerFunc
		want   image.Kind // Other: the bytes come
	}{
		{"deleted", 3, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, image.NotFound},
		{"back", 3, func(w http.ResponseWriter, r *http.Request) { served(w, r, data) }, image.Other},
		{"lost", 0, nil, image.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if n := asked.Add(1); n <= c.absent || c.absent == 0 {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				c.then(w, r)
			})
			if c.absent == 0 {
				client.retries.budget = 20 * time.Millisecond // or it would be asked for all of it
			}
			for _, open := range []func() (io.ReadCloser, error){
				func() (io.ReadCloser, error) {
					return client.OpenSpan(t.Context(), active(1000), image.Span{Len: 1000})
				},
				func() (io.ReadCloser, error) { return client.OpenWhole(t.Context(), active(1000)) },
			} {
				asked.Store(0)
				body, err := open()
				if c.want != image.Other {
					wantKind(t, err, c.want)
				} else if err != nil {
					t.Error(err)
				} else if got := readAll(t, body); !bytes.Equal(got, data) {
					t.Errorf("%d other bytes", len(got))
				}
				if n := asked.Load(); c.absent > 0 && n != c.absent+1 {
					t.Errorf("%d requests", n)
				}
			}
		})
	}
}

// TestRangelessForgotten: a plain request that is refused with 400, too, says
// that the range was not the reason.
func TestRangelessForgotten(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	_, err := c.OpenSpan(t.Context(), active(100), image.Span{Off: 5, Len: 5})
	wantKind(t, err, image.NoRanges)
	_, err = c.OpenWhole(t.Context(), active(100))
	wantKind(t, err, image.Rejected)
	if c.ranges.knows(someID) {
		t.Error("still remembered")
	}
}

// TestWithoutData: no request is made for what the record rules out.
func TestWithoutData(t *testing.T) {
	c := fake(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("a request") })
	for status, want := range map[image.Status]image.Kind{image.StatusQueued: image.NoData, image.StatusSaving: image.NoData, image.StatusImporting: image.NoData} {
		_, err := c.OpenSpan(t.Context(), image.Image{ID: someID, Status: status, Size: 10}, image.Span{Len: 10})
		wantKind(t, err, want)
	}
	_, err := c.OpenWhole(t.Context(), image.Image{ID: someID, Status: image.StatusActive, Properties: map[string]string{"block_device_mapping": "[]"}})
	wantKind(t, err, image.Unsupported)
}

// TestStreams: no more bodies than streams, and waiting obeys the ctx.
func TestStreams(t *testing.T) {
	data := randomBytes(1000)
	c := fake(t, Options{Streams: 2}, func(w http.ResponseWriter, r *http.Request) { served(w, r, data) })
	open := func(ctx context.Context) (io.ReadCloser, error) {
		return c.OpenSpan(ctx, active(1000), image.Span{Off: 1, Len: 10})
	}
	one, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() {
		_, err := open(ctx)
		got <- err
	}()
	cancel()
	wantKind(t, <-got, image.Interrupted)
	for range 2 { // the second close gives nothing back
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	three, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.streams.TryAcquire(1) {
		t.Error("a third stream is free")
	}
	readAll(t, two)
	readAll(t, three)
	_, err = c.OpenSpan(t.Context(), active(5000), image.Span{Off: 1, Len: 10}) // refused: its total is wrong
	wantKind(t, err, image.Corrupt)
	if !c.streams.TryAcquire(2) {
		t.Error("a stream was kept")
	}
}

// TestCancelEndsRead: also where the rest of the bytes has come.
func TestCancelEndsRead(t *testing.T) {
	data := randomBytes(1000)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { served(w, r, data) })
	ctx, cancel := context.WithCancel(t.Context())
	body, err := c.OpenWhole(ctx, active(1000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil { // the others come in the same packet
		t.Fatal(err)
	}
	cancel()
	n, err := io.Copy(io.Discard, body)
	if n != 0 {
		t.Errorf("%d bytes after the end of the context", n)
	}
	wantKind(t, err, image.Interrupted)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseEndsRead: Close from another goroutine.
func TestCloseEndsRead(t *testing.T) {
	release := make(chan struct{})
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	body, err := c.OpenWhole(t.Context(), active(1000))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		_, err := body.Read(make([]byte, 10))
		got <- err
	}()
	_ = body.Close()
	wantKind(t, <-got, image.Interrupted)
}

func TestContentRange(t *testing.T) {
	for header, ok := range map[string]bool{
		"bytes 5-9/100": true, "bytes 5-9/ 100": false, "bytes 5-9": false, "5-9/100": false, "bytes */100": false,
		"bytes 5-10/100": false, "bytes 4-9/100": false, "bytes 5-9/99": false, "": false, "items 5-9/100": false,
		"bytes 5-9/99999999999999999999": false, "bytes -5-9/100": false,
	} {
		if err := checkContentRange(header, 5, 10, 100); (err == nil) != ok {
			t.Errorf("%q: %v", header, err)
		}
	}
}
