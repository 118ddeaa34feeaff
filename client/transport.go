package client

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"context"
)

const (
	// dialTimeout bounds one connection attempt: a host that drops packets
	// would otherwise hold a lookup for minutes.
	dialTimeout = 10 * time.Second
	// tlsTimeout bounds a handshake, which takes a few round trips.
	tlsTimeout = 10 * time.Second
	// idleTimeout is how long an unused connection is kept: less than the 60 s
	// or more after which HAProxy, nginx and Glance close theirs, so that a
	// request rarely meets a connection that is just being closed.
	idleTimeout = 30 * time.Second
	// keepAlive is the interval of TCP probes on long transfers.
	keepAlive = 15 * time.Second
	// spareConnections are kept in the pool beside one for each stream, for
	// requests without data.
	spareConnections = 8
	// maxHeader bounds an answer's header. Glance's have some hundred bytes.
	maxHeader = 64 << 10
	// wireBuffer is the transport's buffer in each direction: fewer system
	// calls per mebibyte than with the 4 KiB of net/http.
	wireBuffer = 64 << 10
	// continueTimeout is how long an upload waits for "100 Continue" before it
	// sends its body regardless, for servers that do not know it.
	continueTimeout = 2 * time.Second
	// writeLinger is how long a failed write waits before it is reported, see
	// lingerConn.
	writeLinger = 200 * time.Millisecond
	// maxRedirects of one request.
	maxRedirects = 3
	// maxIdentityAnswer bounds what Keystone may answer: a token with a large
	// catalog has some hundred KiB.
	maxIdentityAnswer = 8 << 20
)

var errAnswerTooLarge = errors.New("the answer is larger than the limit")

// transports are the ways out. All speak HTTP/1.1: the data of streams would only
// queue behind each other on one HTTP/2 connection.
type transports struct {
	plain *http.Client // everything but uploads
	// upload uses a connection for one request only: an upload can not be sent
	// again when a pooled connection turns out to be closed, and a handshake is
	// nothing beside it.
	upload   *http.Client
	identity *http.Client // Keystone, with bounded answers
	wires    []*http.Transport
}

func newTransports(o Options, config *tls.Config) *transports {
	wire := func(pool int) *http.Transport {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
		t := &http.Transport{
			Proxy: http.ProxyFromEnvironment, Protocols: protocols,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &lingerConn{Conn: conn}, nil
			},
			TLSHandshakeTimeout: tlsTimeout, IdleConnTimeout: idleTimeout,
			MaxIdleConns: pool, MaxIdleConnsPerHost: pool, DisableKeepAlives: pool == 0,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader, ExpectContinueTimeout: continueTimeout,
			WriteBufferSize: wireBuffer, ReadBufferSize: wireBuffer,
		}
		if config != nil {
			t.TLSClientConfig = config.Clone()
		}
		return t
	}
	watched := func(t http.RoundTripper, answer time.Duration) *http.Client {
		return &http.Client{
			Transport:     &watchdog{next: t, stall: o.Stall, answer: answer},
			CheckRedirect: redirect,
		}
	}
	pooled, single := wire(o.Streams+spareConnections), wire(0)
	identity := watched(pooled, o.Stall)
	identity.Transport = &observed{next: &bounded{next: identity.Transport, limit: maxIdentityAnswer}, op: opAuthenticate, to: o.Observer}
	return &transports{
		plain: watched(pooled, o.Stall), upload: watched(single, answerStalls*o.Stall), identity: identity,
		wires: []*http.Transport{pooled, single},
	}
}

func (t *transports) closeIdle() {
	for _, w := range t.wires {
		w.CloseIdleConnections()
	}
}

// redirect follows few redirects, of GET alone, never to an unencrypted
// connection from an encrypted one, and takes the token away when the host
// changes. What is not followed reaches the caller as the 3xx that it is.
func redirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet, len(via) > maxRedirects,
		first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return http.ErrUseLastResponse
	case !sameHost(first.URL, req.URL):
		req.Header.Del(headerToken)
		req.Header.Del("X-Subject-Token")
	}
	return nil
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// lingerConn reports a failed write a little later. A server that refuses an
// upload answers and closes; our next write then fails, and net/http would drop
// the answer that already waits in the socket. The delay lets the goroutine that
// reads win.
type lingerConn struct{ net.Conn }

func (c *lingerConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		time.Sleep(writeLinger)
	}
	return n, err
}

// bounded limits the size of answers, for code that reads them whole.
type bounded struct {
	next  http.RoundTripper
	limit int64 // bytes
}

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: b.limit}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64 // bytes
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errAnswerTooLarge
	}
	return n, err
}
