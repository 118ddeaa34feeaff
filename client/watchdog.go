package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// errStalled is the cause with which the watchdog ends a request.
var errStalled = errors.New("no progress within the watchdog's time")

// watchdog fails a request that makes no progress for stall. Progress is a byte
// of the request's body taken by the connection, the answer's header, or a byte
// of its body. Time spent elsewhere does not count: while the sender of an upload
// produces bytes, or while the reader of a body does not read. After the last
// byte of a request's body the answer may take the time answer.
type watchdog struct {
	next          http.RoundTripper
	stall, answer time.Duration
}

func (w *watchdog) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	q := &quiet{expire: func() { cancel(errStalled) }}
	watched := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		watched.Body = &watchedUpload{ReadCloser: req.Body, left: req.ContentLength, quiet: q, dog: w}
	}
	q.arm(w.stall)
	resp, err := w.next.RoundTrip(watched)
	q.disarm()
	if err != nil {
		err = stalledOr(ctx, err)
		q.end()
		cancel(nil)
		return nil, err
	}
	if _, err := req.URL.Parse(resp.Header.Get("Location")); err != nil {
		resp.Header.Del("Location") // net/http would quote it, and what is secret in it
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, quiet: q, dog: w}
	return resp, nil
}

// stalledOr returns errStalled if that is why the request ended, else err.
func stalledOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// watchedUpload is a request's body. The connection reads from it when it can
// take more, so the time between two reads is the network's.
type watchedUpload struct {
	io.ReadCloser
	left  int64 // bytes still to come; −1 when not known
	quiet *quiet
	dog   *watchdog
}

func (b *watchedUpload) Read(p []byte) (int, error) {
	b.quiet.disarm()
	n, err := b.ReadCloser.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	if err != nil || b.left == 0 {
		b.quiet.arm(b.dog.answer)
	} else {
		b.quiet.arm(b.dog.stall)
	}
	return n, err
}

// watchedBody is an answer's body: the clock runs only while a read waits.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	quiet  *quiet
	dog    *watchdog
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.quiet.arm(b.dog.stall)
	n, err := b.ReadCloser.Read(p)
	b.quiet.disarm()
	if err != nil && !errors.Is(err, io.EOF) {
		err = stalledOr(b.ctx, err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.quiet.end()
	b.cancel(nil)
	return err
}

// quiet is a timer that is armed and disarmed at every read, which must cost
// next to nothing: the runtime's timer is left running and looks at the deadline
// when it fires.
type quiet struct {
	expire func() // called at most once, without the lock

	mu       sync.Mutex // guards the fields below
	deadline time.Time  // zero while disarmed
	timer    *time.Timer
	fires    time.Time // when the timer will fire; zero when it will not
	ended    bool
}

func (q *quiet) arm(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.deadline = time.Now().Add(d)
	switch {
	case q.timer == nil:
		q.timer = time.AfterFunc(d, q.fire)
	case q.fires.IsZero() || q.deadline.Before(q.fires):
		q.timer.Reset(d)
	default:
		return // it looks at the deadline when it fires
	}
	q.fires = q.deadline
}

func (q *quiet) disarm() {
	q.mu.Lock()
	q.deadline = time.Time{}
	q.mu.Unlock()
}

func (q *quiet) end() {
	q.mu.Lock()
	q.ended = true
	if q.timer != nil {
		q.timer.Stop()
	}
	q.mu.Unlock()
}

func (q *quiet) fire() {
	q.mu.Lock()
	q.fires = time.Time{}
	left := time.Until(q.deadline)
	switch {
	case q.ended || q.deadline.IsZero():
		q.mu.Unlock()
	case left > 0:
		q.fires = q.deadline
		q.timer.Reset(left)
		q.mu.Unlock()
	default:
		q.ended = true
		q.mu.Unlock()
		q.expire()
	}
}
