package web

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// mostConnections bounds what whoever reaches the address can take: some collectors
// and some people who look.
const mostConnections = 32

// connections keeps a place free for who comes next: where the last one is taken, the
// connection that has been idle longest is closed, or else that which has taken longest to
// ask for the first time. So whoever opens many and asks nothing keeps no other away.
type connections struct {
	mu    sync.Mutex // guards the fields below
	open  map[net.Conn]struct{}
	idle  []net.Conn // among open, that which has been so longest first
	fresh []net.Conn // among open, without a request yet, as they came
}

// changed is told of each connection's state, by net/http.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	longest := c.changedLocked(conn, state)
	c.mu.Unlock()
	if longest != nil {
		_ = longest.Close() // nothing is being sent there
	}
}

// changedLocked returns the connection to close, nil for none.
func (c *connections) changedLocked(conn net.Conn, state http.ConnState) net.Conn {
	same := func(other net.Conn) bool { return other == conn }
	c.idle, c.fresh = slices.DeleteFunc(c.idle, same), slices.DeleteFunc(c.fresh, same)
	_, open := c.open[conn]
	switch {
	case state == http.StateNew:
		c.open[conn] = struct{}{}
		c.fresh = append(c.fresh, conn)
	case state == http.StateIdle && open: // not closed for another meanwhile
		c.idle = append(c.idle, conn)
	case state == http.StateClosed:
		delete(c.open, conn)
	}
	if len(c.open) < mostConnections {
		return nil
	}
	var longest net.Conn
	switch {
	case len(c.idle) > 0:
		longest, c.idle = c.idle[0], c.idle[1:]
	case len(c.fresh) > 1: // the last one has just come
		longest, c.fresh = c.fresh[0], c.fresh[1:]
	default:
		return nil
	}
	delete(c.open, longest)
	return longest
}
