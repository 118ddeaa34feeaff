package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// TestUploadRequest: what is sent, from a file that stays open.
func TestUploadRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	for _, size := range []int{0, 5, expectFrom - 1, expectFrom, expectFrom + 1<<18} {
		data := randomBytes(size)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := fake(t, Options{Token: "tok", Store: "fast", UserAgent: "imagefs/1"}, func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, data) || r.ContentLength != int64(size) || len(r.TransferEncoding) != 0 || r.Method != http.MethodPut {
				t.Errorf("%d bytes of %d, %v, %v", len(got), r.ContentLength, r.TransferEncoding, err)
			}
			for k, want := range map[string]string{headerToken: "tok", "Content-Type": "application/octet-stream", "User-Agent": "imagefs/1",
				"X-Openstack-Image-Size": fmt.Sprint(size), "X-Image-Meta-Store": "fast"} {
				if got := r.Header.Get(k); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
			if asks := r.Header.Get("Expect") != ""; asks != (size >= expectFrom) {
				t.Errorf("%d bytes: expect %v", size, asks)
			}
			w.WriteHeader(http.StatusNoContent)
		})
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Upload(t.Context(), someID, int64(size), func() io.Reader { return f }); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("the file was closed: %v", err)
		}
	}
}

// TestUploadAnswers: kinds of refusals, each after one request.
func TestUploadAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   image.Kind
	}{
		{400, "", image.Rejected}, {415, "", image.Rejected}, {409, "", image.Busy}, {410, "", image.NotFound}, {404, "", image.NotFound},
		{413, "<html><body>Image storage media is full: x</body></html>", image.Full},
		{413, "<html><body>The size of the data 5 will exceed the limit, it exceeds the quota</body></html>", image.Quota},
		{413, `{"message": "Project p is over a limit for image_size_total"}`, image.Quota},
		{500, "", image.Unavailable}, {503, "", image.Unavailable}, {502, "", image.Unavailable}, {507, "", image.Full},
	} {
		var puts atomic.Int32
		client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			puts.Add(1)
			_, _ = io.Copy(io.Discard, r.Body) // bytes were taken
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		wantKind(t, client.Upload(t.Context(), someID, 4, reader([]byte("data"))), c.want)
		if puts.Load() != 1 {
			t.Errorf("%d: sent %d times", c.status, puts.Load())
		}
	}
}

// TestUploadRefusedEarly: before its data an upload may be refused at no cost,
// and 503 and 429 are tried again, with a new reader.
func TestUploadRefusedEarly(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		var puts, readers atomic.Int32
		c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if puts.Add(1) < 3 {
				w.WriteHeader(status) // the body is not read: no "100 Continue"
				return
			}
			if n, err := io.Copy(io.Discard, r.Body); n != expectFrom || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			w.WriteHeader(http.StatusNoContent)
		})
		if err := c.Upload(t.Context(), someID, expectFrom, func() io.Reader {
			readers.Add(1)
			return bytes.NewReader(make([]byte, expectFrom))
		}); err != nil {
			t.Error(err)
		}
		if puts.Load() != 3 || readers.Load() != 3 {
			t.Errorf("%d requests, %d readers", puts.Load(), readers.Load())
		}
	}
}

// TestUploadRenewsToken: a 401 costs a token and another reader.
func TestUploadRenewsToken(t *testing.T) {
	c, k := dialKeystone(t, anyToken)
	var puts, readers atomic.Int32
	url := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		puts.Add(1)
		n, _ := io.Copy(io.Discard, r.Body)
		if r.Header.Get(headerToken) != "token-2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if n != 1000 {
			t.Errorf("%d bytes", n)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c.base = url + "/v2"
	c.session.age()
	if err := c.Upload(t.Context(), someID, 1000, func() io.Reader {
		readers.Add(1)
		return bytes.NewReader(make([]byte, 1000))
	}); err != nil {
		t.Error(err)
	}
	if puts.Load() != 2 || readers.Load() != 2 || k.issued.Load() != 2 {
		t.Errorf("%d requests, %d readers, %d tokens", puts.Load(), readers.Load(), k.issued.Load())
	}
}

// TestUploadLostAnswer: everything was sent and nothing came back. It must not be
// sent again.
func TestUploadLostAnswer(t *testing.T) {
	var puts atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		puts.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		hangUp(w)
	})
	wantKind(t, c.Upload(t.Context(), someID, 4, reader([]byte("data"))), image.Unavailable)
	if puts.Load() != 1 {
		t.Errorf("sent %d times", puts.Load())
	}
}

// TestUploadBrokenBeforeData: a worker dies before it reads, and its record stays
// busy. That is no answer about the record: the caller may begin with a new one.
func TestUploadBrokenBeforeData(t *testing.T) {
	var puts atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if puts.Add(1) == 1 {
			hangUp(w)
			return
		}
		w.WriteHeader(http.StatusConflict)
	})
	err := c.Upload(t.Context(), someID, expectFrom, func() io.Reader { return &countingReader{left: expectFrom} })
	wantKind(t, err, image.Unavailable)
	if puts.Load() != 2 {
		t.Errorf("tried %d times", puts.Load())
	}
}

// TestUploadAnsweredWhileSending: the service refuses in the middle and closes.
// Its answer is heard, and the reader is left alone afterwards.
func TestUploadAnsweredWhileSending(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 100<<10)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "Maximum image size exceeded")
	})
	var over atomic.Bool
	err := c.Upload(t.Context(), someID, 1<<30, func() io.Reader {
		return readerFunc(func(p []byte) (int, error) {
			if over.Load() {
				t.Error("read after Upload returned")
			}
			clear(p)
			return len(p), nil
		})
	})
	over.Store(true)
	wantKind(t, err, image.Full)
	if err != nil && !strings.Contains(err.Error(), "Maximum image size exceeded") {
		t.Errorf("%v does not say why", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestUploadStalls: a service that takes no more, and one that does not answer.
func TestUploadStalls(t *testing.T) {
	for _, takes := range []bool{false, true} {
		release := make(chan struct{})
		c := fake(t, Options{Stall: 20 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
			if takes {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			<-release
		})
		size := int64(1000) // without a question, which would take its own time
		if !takes {
			size = 64 << 20
		}
		err := c.Upload(t.Context(), someID, size, func() io.Reader { return &countingReader{left: size} })
		close(release)
		wantKind(t, err, image.Stalled)
	}
}

// TestUploadUnreachable: tried again, since nothing was sent; then unreachable.
func TestUploadUnreachable(t *testing.T) {
	c := bare(t, Options{}, "http://127.0.0.1:1")
	c.retries.budget = 20 * time.Millisecond
	readers := 0
	err := c.Upload(t.Context(), someID, 4, func() io.Reader { readers++; return strings.NewReader("data") })
	wantKind(t, err, image.Unreachable)
	if readers < 2 {
		t.Errorf("tried %d times", readers)
	}
}

// TestSource: after stop nothing is read.
func TestSource(t *testing.T) {
	s := newSource(io.MultiReader(strings.NewReader("abc"), &failingReader{io.ErrClosedPipe}))
	if n, err := s.Read(make([]byte, 8)); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Read(make([]byte, 8)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if taken, err := s.stop(); taken != 3 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%d, %v", taken, err)
	}
	if _, err := s.Read(make([]byte, 8)); !errors.Is(err, errStopped) {
		t.Error(err)
	}
}
