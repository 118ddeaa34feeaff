package fault

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Proxy stands before a service.
type Proxy struct {
	addr      string
	target    *url.URL
	plain     *httputil.ReverseProxy
	transport *http.Transport
	other     *elsewhere
	done      chan struct{} // closed by Close
	work      sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	server *http.Server
	closed bool
	away   int // more than none: connections are refused
	rules  []*rule
	ruled  int // how many of the rules in force refuse connections until others are set
	rate   *rate
	counts map[Kind]Count
}

// Count is how often a request was made.
type Count struct {
	Seen int
	Hit  int // of these, how often it met a fault
	// Most is how many there were at a time, of those without a fault (when the others are
	// over for the client is not known here) and for more than the first byte: by asking for
	// that imagefs finds out whether it may read.
	Most int
	now  int
}

// New puts a proxy before the service at the URL. The caller closes it.
func New(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: u, transport: &http.Transport{DisableCompression: true}, done: make(chan struct{}), counts: map[Kind]Count{}}
	p.plain = &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport:    p.transport,
		ErrorLog:     log.New(io.Discard, "", 0), // requests break off on purpose
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	if p.other, err = newElsewhere(p.plain); err != nil {
		return nil, err
	}
	// An address of its own, so that nobody else gets its port while it is away.
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)))
	if err != nil {
		return nil, errors.Join(err, p.other.close())
	}
	p.addr = l.Addr().String()
	p.listen(l)
	return p, nil
}

// URL is the proxy's own.
func (p *Proxy) URL() string { return "http://" + p.addr }

// listen serves. The caller holds mu, where there may be others.
func (p *Proxy) listen(l net.Listener) {
	server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	p.server = server
	p.work.Go(func() { _ = server.Serve(l) }) // it ends by being closed
}

// Away stops listening and breaks all connections: they are refused until Back.
func (p *Proxy) Away() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.goAway()
}

// goAway is Away for who holds mu: whoever comes back after it finds the address free.
func (p *Proxy) goAway() error {
	p.away++
	return p.server.Close()
}

// Back listens again at the same address, unless somebody else has called Away since.
func (p *Proxy) Back() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away--; p.away > 0 || p.closed {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.listen(l)
	return nil
}

// Close ends everything that waits, and waits for it.
func (p *Proxy) Close() error {
	p.mu.Lock()
	closed, server := p.closed, p.server
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	close(p.done)
	err := errors.Join(server.Close(), p.other.close())
	p.work.Wait()
	p.transport.CloseIdleConnections()
	return err
}

// Counts says what was asked for since New, of each kind.
func (p *Proxy) Counts() map[Kind]Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[Kind]Count, len(p.counts))
	for k, n := range p.counts {
		all[k] = n
	}
	return all
}

// Hits is how many requests have met a fault since New.
func (p *Proxy) Hits() int {
	n := 0
	for _, c := range p.Counts() {
		n += c.Hit
	}
	return n
}

// Leaked is how many requests with a token were redirected to another host and made there.
func (p *Proxy) Leaked() int { return int(p.other.leaked.Load()) }

// ServeHTTP answers a request of the service's client.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	p.work.Add(1)
	p.mu.Unlock()
	defer p.work.Done()

	kind := KindOf(r)
	if f, by := p.next(kind, r); f != nil {
		f.serve(&exchange{p: p, kind: kind, w: w, r: r, rule: by})
		return
	}
	defer p.leave(kind, r)
	p.plain.ServeHTTP(w, r)
}

// among is how many of those that Most counts a request is.
func among(r *http.Request) int {
	if r.Header.Get("Range") == "bytes=0-0" {
		return 0
	}
	return 1
}

// next is the fault that the request meets, nil for none, and by which rule, nil where it was drawn.
func (p *Proxy) next(kind Kind, r *http.Request) (found *Fault, by *rule) {
	text := about(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[kind]
	n.Seen++
	for _, rule := range p.rules {
		if rule.meets(kind, text) {
			found, by = &rule.Fault, rule
			break
		}
	}
	if found == nil && p.rate != nil {
		found = p.rate.draw(kind)
	}
	if found != nil {
		n.Hit++
	} else {
		n.now += among(r)
		n.Most = max(n.Most, n.now)
	}
	p.counts[kind] = n
	return found, by
}

// leave counts a request that has met no fault as over.
func (p *Proxy) leave(kind Kind, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[kind]
	n.now -= among(r)
	p.counts[kind] = n
}

// rate draws faults.
type rate struct {
	random   *rand.Rand
	fraction float64
	faults   []Fault
}

// Rate lets so large a part of the requests, which no rule is about, meet one of the faults
// that make sense for them. The same seed draws the same faults for the same requests in
// the same order. No fault ends it.
func (p *Proxy) Rate(seed uint64, fraction float64, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = nil
	if len(faults) > 0 {
		p.rate = &rate{random: rand.New(rand.NewPCG(seed, 0)), fraction: fraction, faults: faults}
	}
}

func (r *rate) draw(k Kind) *Fault {
	if r.random.Float64() >= r.fraction {
		return nil
	}
	from := r.random.IntN(len(r.faults))
	for i := range r.faults {
		if f := &r.faults[(from+i)%len(r.faults)]; f.Concerns(k) {
			return f
		}
	}
	return nil
}
