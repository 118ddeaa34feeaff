package link

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// A bed is a link before a server of 16 MiB, and a client.
type bed struct {
	*testing.T
	link   *Link
	client *http.Client
	body   []byte
}

func newBed(t *testing.T, shape Shape) bed {
	t.Helper()
	b := bed{T: t, body: bytes.Repeat([]byte("0123456789abcdef"), mib)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(len(b.body)) {
				t.Errorf("the server got %d bytes: %v", n, err)
			}
			return
		}
		http.ServeContent(w, r, "body", time.Time{}, bytes.NewReader(b.body))
	}))
	l, err := Open(strings.TrimPrefix(server.URL, "http://"), shape)
	if err != nil {
		t.Fatal(err)
	}
	b.link, b.client = l, &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // a test may have closed it
			t.Error(err)
		}
		server.Close()
	})
	return b
}

// get reads n bytes, compares them, and says when the headers and when the last
// byte came.
func (b bed) get(n int) (first, last time.Duration) {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+b.link.Addr(), nil)
	if err != nil {
		b.Error(err)
		return 0, 0
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=0-%d", n-1))
	begun := time.Now()
	response, err := b.client.Do(request)
	if err != nil {
		b.Error(err)
		return 0, 0
	}
	first = time.Since(begun)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Equal(got, b.body[:n]) {
		b.Errorf("other bytes came: %v", err)
	}
	return first, time.Since(begun)
}

// A machine can only make it slower: none of these times may be shorter. That
// they are not longer either is what the row link of the benchmarks shows.
func TestShape(t *testing.T) {
	shape := Shape{RTT: 20 * time.Millisecond, Each: 40e6, Total: 80e6}
	t.Run("a round trip", func(t *testing.T) {
		b := newBed(t, shape)
		for range 5 {
			if first, _ := b.get(4096); first < shape.RTT {
				t.Errorf("an answer after %v", first)
			}
		}
	})
	t.Run("one connection", func(t *testing.T) {
		b := newBed(t, shape)
		if _, last := b.get(8 * mib); last < shape.RTT+take(8*mib, shape.Each) {
			t.Errorf("8 MiB in %v", last)
		}
	})
	t.Run("all connections", func(t *testing.T) {
		b := newBed(t, shape)
		var all sync.WaitGroup
		begun := time.Now()
		for range 4 {
			all.Go(func() { b.get(4 * mib) })
		}
		all.Wait()
		if took := time.Since(begun); took < shape.RTT+take(16*mib, shape.Total) {
			t.Errorf("4 times 4 MiB in %v", took)
		}
	})
}

func take(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// What clients send has no limit, and arrives.
func TestUpload(t *testing.T) {
	b := newBed(t, Shape{RTT: time.Millisecond, Each: 1e6, Total: 1e6})
	request, err := http.NewRequest(http.MethodPut, "http://"+b.link.Addr(), bytes.NewReader(b.body))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	// 16 s if it were limited; a second on any machine.
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("16 MiB up in %v", took)
	}
}

func TestCounts(t *testing.T) {
	b := newBed(t, Shape{})
	b.get(1000)
	b.get(2000)
	c := b.link.Counts()
	if c.Requests != 2 || c.RoundTrips != 2 || c.Connections != 1 {
		t.Errorf("two requests in turn: %+v", c)
	}
	if c.Bytes < 3000 || c.Bytes > 3000+2*1024 {
		t.Errorf("3000 bytes and two headers are %d", c.Bytes)
	}
}

// Requests that leave together are one round trip.
func TestRoundTrips(t *testing.T) {
	var c counter
	get, answer := []byte("GET /x HTTP/1.1\r\n"), []byte("HTTP/1.1 200 OK\r\n")
	c.up(get)
	c.up(get)
	c.up([]byte("more of something"))
	c.down(answer)
	c.down(answer)
	c.up([]byte("HEAD /x HTTP/1.1\r\n"))
	c.up(get)
	c.down(answer)
	if got := c.snapshot(); got.Requests != 4 || got.RoundTrips != 2 {
		t.Errorf("%+v", got)
	}
	if got := c.snapshot().Sub(Counts{Requests: 3}).Add(Counts{RoundTrips: 1}); got.Requests != 1 || got.RoundTrips != 3 {
		t.Errorf("%+v", got)
	}
}

// A client that goes away in the middle ends its connection to the server, too.
func TestClientLeaves(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		for err == nil {
			_, err = conn.Write(make([]byte, mib))
		}
		ended <- errors.Join(err, conn.Close())
	}()
	l, err := Open(listener.Addr().String(), Shape{RTT: time.Millisecond, Each: 50e6})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, mib)); err != nil {
		t.Error(err)
	}
	conn.Close()
	if err := <-ended; err == nil {
		t.Error("the server did not notice")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Close ends connections that nobody uses.
func TestClose(t *testing.T) {
	b := newBed(t, Shape{RTT: time.Millisecond})
	b.get(10) // keeps its connection
	idle, err := net.Dial("tcp", b.link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := b.link.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives")
	}
}
