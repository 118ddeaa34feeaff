package link

import (
	"bytes"
	"sync"
)

// Counts is what has passed a link since it was opened.
type Counts struct {
	// Bytes went to clients, the headers of answers included.
	Bytes int64
	// Requests are HTTP requests of clients.
	Requests int64
	// RoundTrips is how long the chain of requests is that waited for an answer
	// before them: requests that leave together are one round trip, one that leaves
	// after some byte of an answer has arrived begins the next.
	RoundTrips int64
	// Connections were opened by clients.
	Connections int64
}

// Add is the sum of two.
func (c Counts) Add(o Counts) Counts {
	return Counts{c.Bytes + o.Bytes, c.Requests + o.Requests, c.RoundTrips + o.RoundTrips, c.Connections + o.Connections}
}

// Sub is what passed since old.
func (c Counts) Sub(old Counts) Counts {
	return Counts{
		Bytes:       c.Bytes - old.Bytes,
		Requests:    c.Requests - old.Requests,
		RoundTrips:  c.RoundTrips - old.RoundTrips,
		Connections: c.Connections - old.Connections,
	}
}

type counter struct {
	mu       sync.Mutex // guards the fields below
	counts   Counts
	answered bool // something arrived at a client since the last round trip began
}

func (c *counter) snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func (c *counter) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Connections++
}

// down counts bytes that arrived at a client.
func (c *counter) down(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Bytes += int64(len(p))
	c.answered = true
}

// up counts what a client has just sent. Nobody here pipelines, and headers come
// in one piece, so a request is a piece that begins like one.
func (c *counter) up(p []byte) {
	if !bytes.HasPrefix(p, []byte("GET ")) && !bytes.HasPrefix(p, []byte("HEAD ")) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests++
	if c.answered || c.counts.RoundTrips == 0 {
		c.counts.RoundTrips++
		c.answered = false
	}
}
