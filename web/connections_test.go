package web

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/imagefs/imagefs/metrics"
)

const healthy = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

func mounted() metrics.Snapshot { return metrics.Snapshot{State: metrics.StateMounted} }

// read1 waits for the beginning of an answer.
func read1(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// Whoever holds all connections open and asks nothing, or has not asked to the end, keeps
// nobody out: what has been idle longest is closed.
func TestIdleConnectionsGiveWay(t *testing.T) {
	s := listen(t, Options{Snapshot: mounted})
	first := s.dial(t)
	send(t, first, healthy)
	read1(t, first)
	var last net.Conn
	for i := range 2 * mostConnections {
		last = s.dial(t)
		if i%2 == 0 {
			send(t, last, healthy[:20])
			continue
		}
		send(t, last, healthy)
		read1(t, last)
	}
	if code, body := ask(t, "GET", s.URL()+"/healthz", ""); code != 200 {
		t.Errorf("one more: %d %q", code, body)
	}
	if _, err := io.Copy(io.Discard, first); err != nil {
		t.Errorf("the first one was not closed: %v", err)
	}
	send(t, last, healthy) // a collector keeps its own
	read1(t, last)
}

// More answers at once than the limit wait; they take nothing of the daemon's descriptors.
func TestConnectionsAreBounded(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	s := listen(t, Options{Snapshot: mounted, Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-goOn
	})})
	for range mostConnections {
		send(t, s.dial(t), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-began
	}
	answered := make(chan int)
	go func() {
		code, _ := ask(t, "GET", s.URL()+"/healthz", "")
		answered <- code
	}()
	select {
	case code := <-answered:
		t.Errorf("one more was answered: %d", code)
	case <-time.After(50 * time.Millisecond): // it can only be wrong in our favour
	}
	close(goOn)
	if code := <-answered; code != 200 {
		t.Errorf("after that: %d", code)
	}
}
