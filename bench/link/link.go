package link

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Shape is how a link behaves. The zero Shape only counts.
type Shape struct {
	RTT time.Duration // half of it each way
	// Each and Total limit what one connection and all together carry to the
	// client; 0 is no limit.
	Each, Total float64
}

// Link is a proxy in front of one server.
type Link struct {
	shape    Shape
	backend  string
	listener net.Listener
	total    limiter
	counter  counter
	work     sync.WaitGroup // the acceptor, and the four goroutines of each connection

	mu     sync.Mutex // guards the fields below
	closed bool
	open   map[net.Conn]struct{} // both ends of each connection
}

// Open listens on a free port of 127.0.0.1 and carries connections to backend, a
// HOST:PORT. The caller closes the link.
func Open(backend string, shape Shape) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a link to %s: %w", backend, err)
	}
	l := &Link{
		shape: shape, backend: backend, listener: listener,
		total: limiter{rate: shape.Total}, open: map[net.Conn]struct{}{},
	}
	l.work.Go(l.accept)
	return l, nil
}

// Addr is where clients connect, HOST:PORT.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Counts is what has passed so far.
func (l *Link) Counts() Counts { return l.counter.snapshot() }

// Close cuts every connection and waits until all is over.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.open {
		// A second Close, by the connection's own goroutines, is harmless.
		_ = c.Close()
	}
	l.mu.Unlock()
	l.work.Wait()
	return err
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(time.Millisecond) // out of file descriptors: some come back
			continue
		}
		l.work.Go(func() { l.carry(client.(*net.TCPConn)) })
	}
}

// track notes a connection for Close; false when that was already called.
func (l *Link) track(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.open[c] = struct{}{}
	}
	return !l.closed
}

func (l *Link) drop(c net.Conn) {
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	// Whatever was still to come is cut off, as its other end was.
	_ = c.Close()
}
