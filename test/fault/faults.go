package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way in which a request fails.
type Fault struct {
	Name string // as the table of faults has it

	concerns func(Kind) bool // nil: every kind
	serve    func(*exchange)
}

// Concerns reports whether the fault makes sense for requests of the kind: an answer
// without a body does not end in the middle of it.
func (f Fault) Concerns(k Kind) bool { return f.concerns == nil || f.concerns(k) }

// The sizes and times of faults.
const (
	awayFor  = 200 * time.Millisecond // a proxy that is loaded anew
	dripTime = 600 * time.Millisecond // how long a slow answer takes
	drips    = 12                     // and in how many pieces it comes
	inHeader = 20                     // bytes of the header before it ends
	surplus  = 100                    // bytes too many
	skewed   = 5 * time.Hour          // more than any token lasts
	// hugeRecord and hugePage are a little more than imagefs takes, in bytes.
	hugeRecord = 16<<20 + 1
	hugePage   = 64<<20 + 1
)

// hasBody: the answer has one, or the request where the data goes that way.
func hasBody(k Kind) bool    { return k != Delete && k != Import }
func answersAny(k Kind) bool { return k.answersJSON() || k.answersData() }

// The faults that are not statuses.
var (
	// Refused connections: those that are there break, and new ones are refused, for a
	// moment, or as long as a rule for Always lasts.
	Refused = Fault{Name: "connection refused", serve: func(e *exchange) { e.refuse() }}
	// BlackHole takes the request and never answers.
	BlackHole = Fault{Name: "black hole", serve: func(e *exchange) {
		e.consume()
		e.send(&answer{head: 0, stall: true})
	}}
	// Reset breaks the connection before the service has seen the request.
	Reset = Fault{Name: "reset before the header", serve: func(e *exchange) {
		e.consume()
		e.send(&answer{head: 0, reset: true})
	}}
	// LostAnswer breaks it after the service has done what it was asked for.
	LostAnswer = Fault{Name: "reset, but it was done", serve: changed(func(a *answer) { a.head, a.reset = 0, true })}
	// ResetInHeader, ResetInBody and StallInBody are what they are called. Of an upload the
	// body is the request's.
	ResetInHeader = Fault{Name: "reset inside the header", serve: changed(func(a *answer) { a.head, a.reset = inHeader, true })}
	ResetInBody   = Fault{Name: "reset inside the body", concerns: hasBody, serve: func(e *exchange) {
		if e.kind.takesData() {
			e.consumeHalf()
			e.send(&answer{head: 0, reset: true})
			return
		}
		changed(func(a *answer) { a.cut, a.reset = len(a.body)/2, true })(e)
	}}
	StallInBody = Fault{Name: "stall inside the body", concerns: hasBody, serve: func(e *exchange) {
		if e.kind.takesData() {
			e.consumeHalf()
			e.send(&answer{head: 0, stall: true})
			return
		}
		changed(func(a *answer) { a.cut, a.stall = len(a.body)/2, true })(e)
	}}
	// SlowDrip brings the body in small pieces.
	SlowDrip = Fault{Name: "slow drip", concerns: hasBody, serve: func(e *exchange) {
		if e.kind.takesData() {
			e.r.Body = &slowBody{ReadCloser: e.r.Body, e: e, piece: max(1, e.r.ContentLength/drips)}
			e.p.plain.ServeHTTP(e.w, e.r)
			return
		}
		changed(func(a *answer) { a.pieces, a.pause = drips, dripTime/drips })(e)
	}}
	// Truncated ends the body early, with and without a Content-Length.
	Truncated         = Fault{Name: "truncated, with Content-Length", concerns: answersAny, serve: changed(func(a *answer) { a.cut = len(a.body) / 2 })}
	TruncatedUntold   = Fault{Name: "truncated, without Content-Length", concerns: answersAny, serve: changed(func(a *answer) { a.length, a.cut = noLength, len(a.body)/2 })}
	ExtraBytes        = Fault{Name: "extra bytes behind Content-Length", concerns: answersAny, serve: changed(func(a *answer) { a.body = append(a.body, make([]byte, surplus)...) })}
	ExtraBytesCounted = Fault{Name: "extra bytes within Content-Length", concerns: answersAny, serve: changed(func(a *answer) {
		a.body = append(a.body, bytes.Repeat([]byte("x"), surplus)...)
		a.length = int64(len(a.body))
	})}
	// WrongRange says that these are other bytes than those that were asked for.
	WrongRange = Fault{Name: "wrong Content-Range", concerns: func(k Kind) bool { return k == Span }, serve: changed(wrongRange)}
	// FlippedByte changes the data on its way, or makes nonsense of what has fields.
	FlippedByte = Fault{Name: "flipped byte", concerns: hasBody, serve: func(e *exchange) {
		if e.kind.takesData() {
			e.r.Body = &flippedBody{ReadCloser: e.r.Body}
			e.p.plain.ServeHTTP(e.w, e.r)
			return
		}
		changed(func(a *answer) {
			switch {
			case e.kind.answersData() && len(a.body) > 0:
				a.body[len(a.body)/2] ^= 1
			case len(a.body) > 0:
				a.body[0] ^= 1 // elsewhere it might be another word, which nobody can tell from the right one
			}
		})(e)
	}}
	InvalidJSON    = Fault{Name: "invalid JSON", concerns: Kind.answersJSON, serve: changed(func(a *answer) { a.set("<html>It works!</html>") })}
	HugeJSON       = Fault{Name: "huge JSON", concerns: Kind.answersJSON, serve: func(e *exchange) { e.huge() }}
	MissingFields  = Fault{Name: "missing fields", concerns: Kind.answersJSON, serve: changed(func(a *answer) { a.fields(nil) })}
	MistypedFields = Fault{Name: "mistyped fields", concerns: Kind.answersJSON, serve: changed(func(a *answer) { a.fields([]any{true}) })}
	// RedirectLoop leads back to itself, RedirectElsewhere to another host.
	RedirectLoop = Fault{Name: "redirect loop", serve: func(e *exchange) {
		e.redirect(e.p.URL())
	}}
	RedirectElsewhere = Fault{Name: "redirect to another host", serve: func(e *exchange) {
		e.p.other.token.Store(e.r.Header.Get("X-Auth-Token"))
		e.redirect(e.p.other.url)
	}}
	// ClockAhead and ClockBehind are services whose clock is hours off.
	ClockAhead  = Fault{Name: "clock 5 h ahead", serve: changed(func(a *answer) { a.date(skewed) })}
	ClockBehind = Fault{Name: "clock 5 h behind", serve: changed(func(a *answer) { a.date(-skewed) })}
)

// Slow lets the service answer after a time.
func Slow(d time.Duration) Fault {
	return Fault{Name: "slow", serve: func(e *exchange) {
		if !e.pause(d) {
			panic(http.ErrAbortHandler)
		}
		e.p.plain.ServeHTTP(e.w, e.r)
	}}
}

// Before does something when a request comes that meets the fault.
func Before(do func(), f Fault) Fault {
	return Fault{Name: f.Name, concerns: f.concerns, serve: func(e *exchange) {
		do()
		f.serve(e)
	}}
}

// Status is a refusal of the request, in the service's own words: below 500 with a request
// id, as Glance has it; from 502 on without, as a proxy's.
func Status(code int, words string) Fault {
	f := Fault{Name: fmt.Sprint(code), serve: func(e *exchange) { e.refuseWith(code, words, code <= http.StatusInternalServerError) }}
	if code == http.StatusTooManyRequests {
		f.Name += " with Retry-After"
	}
	return f
}

// ProxyNotFound is a 404 that the service does not know of.
var ProxyNotFound = Fault{Name: "404 of a proxy", serve: func(e *exchange) { e.refuseWith(http.StatusNotFound, "no such server", false) }}

// All are the faults, in the order of the table.
func All() []Fault {
	all := []Fault{Refused, BlackHole, Reset, LostAnswer, ResetInHeader, ResetInBody, StallInBody, SlowDrip}
	for _, s := range []struct {
		code  int
		words string
	}{
		{http.StatusBadRequest, "The request is wrong."}, {http.StatusUnauthorized, "Who are you?"}, {http.StatusForbidden, "You may not."},
		{http.StatusNotFound, "No image found."}, {http.StatusConflict, "The image is in use."}, {http.StatusGone, "It was there."},
		{http.StatusRequestEntityTooLarge, "It is too large."}, {http.StatusUnsupportedMediaType, "Not of this type."},
		{http.StatusTooManyRequests, "Later."}, {http.StatusInternalServerError, "Something broke."}, {http.StatusBadGateway, "Bad Gateway"},
		{http.StatusServiceUnavailable, "Service Unavailable"}, {http.StatusGatewayTimeout, "Gateway Timeout"},
	} {
		all = append(all, Status(s.code, s.words))
	}
	return append(all, ProxyNotFound, Truncated, TruncatedUntold, ExtraBytes, ExtraBytesCounted, WrongRange, FlippedByte,
		InvalidJSON, HugeJSON, MissingFields, MistypedFields, RedirectLoop, RedirectElsewhere, ClockAhead, ClockBehind)
}

// changed makes the request and changes the answer.
func changed(how func(*answer)) func(*exchange) {
	return func(e *exchange) {
		a := e.ask()
		how(a)
		e.send(a)
	}
}

func wrongRange(a *answer) {
	var from, to, size int64
	if _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &size); err == nil {
		a.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from+1, to+1, size+1))
	}
}

func (e *exchange) consumeHalf() { _, _ = io.CopyN(io.Discard, e.r.Body, e.r.ContentLength/2) } // whatever came

// refuseWith takes the request and refuses it. own: by the service itself.
func (e *exchange) refuseWith(code int, words string, own bool) {
	e.consume()
	if own {
		e.w.Header().Set("X-Openstack-Request-Id", "req-at-fault")
	}
	if code == http.StatusTooManyRequests {
		e.w.Header().Set("Retry-After", "1")
	}
	http.Error(e.w, words, code)
}

func (e *exchange) redirect(to string) {
	e.consume()
	e.w.Header().Set("Location", to+e.r.URL.RequestURI())
	e.w.WriteHeader(http.StatusTemporaryRedirect)
}

// refuse lets the proxy go away. Where its rule is for always and has just ended, only its own
// connection breaks: nobody would call the proxy back.
func (e *exchange) refuse() {
	p := e.p
	p.mu.Lock()
	lasts := e.rule != nil && e.rule.Times == Always
	if !lasts || slices.Contains(p.rules, e.rule) {
		_ = p.goAway() // its connections break
		if lasts {
			p.ruled++
		}
	}
	p.mu.Unlock()
	if !lasts {
		p.work.Go(func() {
			t := time.NewTimer(awayFor)
			defer t.Stop()
			select {
			case <-t.C:
			case <-p.done:
			}
			_ = p.Back() // the address may be taken: then it stays away, and a test fails
		})
	}
	panic(http.ErrAbortHandler)
}

func (a *answer) set(body string) { a.body, a.length = []byte(body), int64(len(body)) }

func (a *answer) date(off time.Duration) {
	a.header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
}

// huge answers with more than anybody wants to read.
func (e *exchange) huge() {
	size := hugeRecord
	e.consume()
	e.w.Header().Set("Content-Type", "application/json")
	if e.kind == List || e.kind == Delta || e.kind == Lookup || e.kind == Probe {
		size = hugePage // and says so, for nobody has to read all of that
		e.w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	for space := []byte(strings.Repeat(" ", 64<<10)); size > 0; size -= len(space) {
		if _, err := e.w.Write(space[:min(size, len(space))]); err != nil {
			return // it has read enough
		}
	}
}

type slowBody struct {
	io.ReadCloser
	e     *exchange
	piece int64
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.e.pause(dripTime / drips) {
		return 0, errors.New("nobody waits")
	}
	return b.ReadCloser.Read(p[:min(int64(len(p)), b.piece)])
}

type flippedBody struct {
	io.ReadCloser
	done bool
}

func (b *flippedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.done {
		p[0] ^= 1
		b.done = true
	}
	return n, err
}
