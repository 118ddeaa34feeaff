package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	stall  = 10 * time.Second
	finish = 50 * time.Second
)

// roundTrip is a transport without a wire.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wait passes the time, or fails as net/http does when the request ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slowReader yields n bytes, one each time after a delay.
type slowReader struct {
	ctx   context.Context
	delay time.Duration
	n     int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	if err := wait(r.ctx, r.delay); err != nil {
		return 0, err
	}
	r.n--
	p[0] = 'x'
	return 1, nil
}

func (r *slowReader) Close() error { return nil }

func watched(f roundTrip) *http.Client {
	return &http.Client{Transport: &watchdog{next: f, stall: stall, answer: finish}}
}

func TestWatchdogHeader(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		want  error
	}{{stall - time.Second, nil}, {stall + time.Second, errStalled}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			resp, err := watched(func(r *http.Request) (*http.Response, error) {
				if err := wait(r.Context(), c.delay); err != nil {
					return nil, err
				}
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			}).Get("http://service/")
			if !errors.Is(err, c.want) {
				t.Errorf("%v: %v, want %v", c.delay, err, c.want)
			}
			if err == nil {
				_ = resp.Body.Close()
			} else if took := time.Since(began); took != stall {
				t.Errorf("failed after %v", took)
			}
		})
	}
}

func TestWatchdogBody(t *testing.T) {
	for _, c := range []struct {
		name         string
		delay, pause time.Duration // between bytes, and of the reader
		want         error
	}{
		{"slow but moving", stall - time.Second, 0, nil},
		{"stopped", stall + time.Second, 0, errStalled},
		{"the reader takes its time", time.Second, 5 * stall, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			resp, err := watched(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: &slowReader{r.Context(), c.delay, 20}}, nil
			}).Get("http://service/")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for err == nil {
				var k int
				k, err = resp.Body.Read(make([]byte, 8))
				n += k
				time.Sleep(c.pause)
			}
			if c.want == nil && (!errors.Is(err, io.EOF) || n != 20) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %d bytes, then %v", c.name, n, err)
			}
			_ = resp.Body.Close()
		})
	}
}

func TestWatchdogUpload(t *testing.T) {
	for _, c := range []struct {
		name                 string
		source, wire, answer time.Duration // per byte, per byte, after the last
		want                 error
	}{
		{"moving, longer than the bound in all", 0, stall - time.Second, 0, nil},
		{"the wire stops", 0, stall + time.Second, 0, errStalled},
		{"the source is slow", 3 * stall, time.Second, 0, nil},
		{"the answer takes long", 0, time.Second, finish - time.Second, nil},
		{"the answer takes too long", 0, time.Second, finish + time.Second, errStalled},
	} {
		for _, known := range []int64{10, -1} {
			synctest.Test(t, func(t *testing.T) {
				client := watched(func(r *http.Request) (*http.Response, error) {
					for p := make([]byte, 1); ; {
						_, err := r.Body.Read(p)
						if err == io.EOF {
							break
						}
						if err != nil {
							return nil, err
						}
						if err := wait(r.Context(), c.wire); err != nil {
							return nil, err
						}
					}
					if err := wait(r.Context(), c.answer); err != nil {
						return nil, err
					}
					return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
				})
				req, err := http.NewRequest(http.MethodPut, "http://service/", &slowReader{t.Context(), c.source, 10})
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = known
				resp, err := client.Do(req)
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", c.name, err, c.want)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
			})
		}
	}
}

// TestWatchdogShorterBound: after the long bound of an upload's answer the body
// of that answer has the short one.
func TestWatchdogShorterBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := watched(func(r *http.Request) (*http.Response, error) {
			_, _ = io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: 400, Body: &slowReader{r.Context(), time.Hour, 1}}, nil
		})
		resp, err := client.Post("http://service/", "", strings.NewReader("data"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = io.ReadAll(resp.Body)
		if took := time.Since(began); !errors.Is(err, errStalled) || took != stall {
			t.Errorf("%v after %v", err, took)
		}
		_ = resp.Body.Close()
	})
}

// TestStallIsNotRetried: it has used up its time.
func TestStallIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(Options{}.withDefaults(), &transports{}, &session{})
		tries := 0
		c.plain = watched(func(r *http.Request) (*http.Response, error) {
			tries++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := c.Get(t.Context(), someID)
		wantKind(t, err, image.Stalled)
		if tries != 1 {
			t.Errorf("%d tries", tries)
		}
	})
}

// A change of a record has a body, too, but its answer needs no store: it may take no longer
// than any other.
func TestStalledChange(t *testing.T) {
	c := fake(t, Options{Stall: 500 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // an upload's answer may take more
	defer cancel()
	if _, err := c.Create(ctx, image.New{Name: "n"}); !errors.Is(err, errStalled) {
		t.Errorf("%v, want a stall", err)
	}
}
