package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/imagefs/imagefs/image"
)

// answerError is the cause of an image.Error that came from a status.
type answerError struct {
	status int
	after  time.Duration // Retry-After; 0 when the service did not say
	final  bool          // it has taken data, which must not be sent twice
	away   bool          // of another host, to which the service has redirected
}

func (e *answerError) Error() string { return fmt.Sprintf("answer %d", e.status) }

// transportError is the cause of an image.Error without an answer.
type transportError struct {
	sent bool // the header, at least, was given to a connection
	away bool // at another host, to which the service has redirected
	err  error
}

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// renewalError is the cause of an image.Error of a request that was refused its token and
// whose ctx ended before there was another.
type renewalError struct{ err error }

func (e *renewalError) Error() string { return e.err.Error() }
func (e *renewalError) Unwrap() error { return e.err }

// policy says after which failures a request may be made again.
type policy uint8

const (
	// never: an answer or a broken connection ends it.
	never policy = iota
	// unsent: only if the service cannot have acted on the request.
	unsent
	// idempotent: doing it twice is doing it once.
	idempotent
)

// allows reports whether err lets a request of this policy be made again. A stall
// is never one: it has used up its time.
func (p policy) allows(err error) bool {
	var held *heldError
	if p == never || err == nil || errors.As(err, &held) {
		return false
	}
	if image.Is(err, image.IdentityAway) {
		return true // a 401: nothing was done
	}
	if errors.Is(err, errNoData) {
		return p == idempotent
	}
	var a *answerError
	if errors.As(err, &a) {
		if a.final {
			return false
		}
		switch a.status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return true
		case http.StatusBadGateway, http.StatusGatewayTimeout:
			return p == idempotent
		}
		return false
	}
	var t *transportError
	if !errors.As(err, &t) {
		return false
	}
	switch image.KindOf(err) {
	case image.Unreachable, image.Unavailable, image.NoDescriptors:
		return p == idempotent || !t.sent
	}
	return false
}

// retries are the delays between tries: exponential with jitter, so that many
// clients of a restarted service do not come back at once.
type retries struct {
	first, most time.Duration // delay before the second try, and the longest
	budget      time.Duration // from the first try to the last
	resumes     int           // breaks of one body without progress between them
	dialBudget  time.Duration // as budget, while Dial authenticates
}

// budgetOf is how long a request is tried again where it may make no progress for so
// long; restartTime where nothing else is wanted. Who wants to know sooner is told sooner.
// Kernel operations that must end by then say so in their ctx.
func budgetOf(stall time.Duration) time.Duration {
	return max(stall/(defaultStall/restartTime), defaultRetries.dialBudget)
}

var defaultRetries = retries{
	first:   100 * time.Millisecond,
	most:    3 * time.Second,
	budget:  restartTime,
	resumes: 4,
	// Who types a wrong URL should not wait long.
	dialBudget: 2 * time.Second,
}

func (r retries) backoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: r.first, MaxInterval: r.most, Multiplier: 2, RandomizationFactor: 0.5}
}

// do calls try until it succeeds, p forbids another try, the budget is spent or
// ctx ends, and returns what the last try returned. notify, if not nil, hears of
// each failure that is followed by another try.
func (r retries) do(ctx context.Context, p policy, try func() error, notify func(error, time.Duration)) error {
	var last error
	options := []backoff.RetryOption{backoff.WithBackOff(r.backoff()), backoff.WithMaxElapsedTime(r.budget)}
	if image.Brief(ctx) {
		options = append(options, backoff.WithMaxTries(1))
	}
	if notify != nil {
		options = append(options, backoff.WithNotify(func(_ error, wait time.Duration) { notify(last, wait) }))
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = try()
		if last == nil || !p.allows(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		var a *answerError
		if errors.As(last, &a) && a.after > 0 {
			return struct{}{}, &backoff.RetryAfterError{Duration: a.after}
		}
		return struct{}{}, last
	}, options...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && p.allows(last) {
		return cancelled(ctx, last) // while waiting for another try
	}
	return last
}

// do makes a request under the policy: each try, first as well, when the traffic lets
// it go. What stops a retry leaves the request with the failure that it had.
func (c *Client) do(ctx context.Context, r *request, p policy, try func() error) error {
	came := time.Now()
	pass := passage{request: r, came: came, deadline: came.Add(c.retries.budget), patient: image.Patient(ctx), brief: image.Brief(ctx)}
	var last error
	err := c.retries.do(ctx, p, func() error {
		switch err := c.traffic.admit(ctx, pass); {
		case err != nil && last != nil && ctx.Err() == nil:
			return &heldError{last}
		case err != nil:
			return err
		}
		pass.tried = time.Now()
		last = try()
		c.traffic.heed(ctx, r.op, last, time.Since(pass.tried), c.identifies)
		return last
	}, c.retrying(ctx, r))
	var held *heldError
	if errors.As(err, &held) {
		return held.err
	}
	return err
}

// dial is do for authentication, with the shorter budget.
func (r retries) dial(ctx context.Context, try func() error) error {
	r.budget = r.dialBudget
	return r.do(ctx, idempotent, try, nil)
}

// cancelled is the failure of a request whose ctx has ended. It keeps what the
// last try found, which says which request and image it was.
func cancelled(ctx context.Context, last error) error {
	e := &image.Error{Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
	var known *image.Error
	if errors.As(last, &known) {
		e.Op, e.Image, e.Detail = known.Op, known.Image, "after "+known.Kind.String()
		if known.Kind == e.Kind {
			e.Detail = ""
		}
	}
	return e
}

func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &mistyped)
}

// isTransport reports a failure of net/http: it wraps all of its own.
func isTransport(err error) bool {
	var u *url.Error
	return errors.As(err, &u)
}
