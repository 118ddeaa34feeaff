package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

// pauseMost is the longest time for which a Retry-After holds up the other requests: a
// service that is back earlier than it said, or has said something senseless, is asked
// again after that.
const pauseMost = time.Minute

const (
	// turnTime lies between two tries of those who were held up: the first have their
	// answer, which may be that it is too early, before many more have gone.
	turnTime = 20 * time.Millisecond
	// pauseSpread-th of a pause is what the first waits beyond it, at the most: other
	// mounts were told of the same end.
	pauseSpread = 10
)

// traffic is what the requests of a client have to do with each other: a circuit for
// each service, the pause that the service has asked for, and the budget of retries.
type traffic struct {
	log *slog.Logger

	mu       sync.Mutex // guards the fields below
	glance   *circuit
	keystone *circuit
	budget   retryBudget
	pause    time.Time     // until then nothing is sent
	paused   time.Time     // when that was asked for
	asked    error         // the answer that asked
	turn     time.Time     // when the next of those goes who were held up
	changed  chan struct{} // closed, and made anew, when who waits may go
}

func newTraffic(log *slog.Logger, restart time.Duration) *traffic {
	return &traffic{log: log, glance: newCircuit("image", restart), keystone: newCircuit("identity", restart), changed: make(chan struct{})}
}

// passage is a try that wants to go.
type passage struct {
	request  *request
	came     time.Time
	tried    time.Time // when its last try began; zero before the first
	deadline time.Time // of the request: it waits here no longer
	// patient: it waits also for a service that is away, and for a pause beyond its
	// deadline.
	patient bool
	brief   bool // it waits for nothing
	paid    bool // a retry has been taken from the budget for it, or need not be
	held    bool // a pause or a circuit has held it up
	// turn is when it goes after that; zero while it has none.
	turn time.Time
}

// heldError is the failure of a request whose next try was not let go: it does not help
// to ask again.
type heldError struct{ err error }

func (e *heldError) Error() string { return e.err.Error() }
func (e *heldError) Unwrap() error { return e.err }

// obstacle is what is in the way of a try.
type obstacle struct {
	why   error
	until time.Time // so long at the least
	// lasting: it is not worth the waiting.
	lasting bool
}

// admit lets a try go, or returns why it must not: the kind of what it would have
// waited for, or of ctx.
func (t *traffic) admit(ctx context.Context, p passage) error {
	p.paid = p.tried.IsZero()
	if p.paid {
		t.mu.Lock()
		t.budget.request(time.Now())
		t.mu.Unlock()
	}
	for {
		t.mu.Lock()
		now := time.Now()
		o := t.obstacleLocked(now, &p)
		changed := t.changed
		t.mu.Unlock()
		if o == nil {
			return nil
		}
		held := p.request.fail(image.KindOf(o.why), o.why)
		if o.lasting || p.brief {
			return &heldError{held}
		}
		timer := time.NewTimer(o.until.Sub(now))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return cancelled(ctx, held)
		}
	}
}

// obstacleLocked returns what is in the way of a try; nil, and it has begun.
func (t *traffic) obstacleLocked(now time.Time, p *passage) *obstacle {
	late := !now.Before(p.deadline)
	if now.Before(t.pause) {
		p.holdUp()
		return &obstacle{
			why:   fmt.Errorf("the service has asked for a pause of %v: %w", t.pause.Sub(now).Round(time.Second), t.asked),
			until: t.pause, lasting: !p.patient && t.pause.After(p.deadline),
		}
	}
	for _, c := range []*circuit{t.keystone, t.glance} {
		wait := c.wait(now)
		if wait == 0 {
			continue
		}
		p.holdUp()
		o := &obstacle{
			why:   fmt.Errorf("circuit open for %v: %w", now.Sub(c.since).Round(time.Second), c.last),
			until: earlier(now.Add(wait), p.deadline), lasting: late,
		}
		if end := c.patience(now, p.came); !p.patient {
			o.until, o.lasting = earlier(o.until, end), late || !now.Before(end)
		}
		return o
	}
	if o := t.turnLocked(now, p); o != nil {
		return o
	}
	// Who has waited for the service does not wait again for the retries of others, nor
	// does who failed in an outage that is over, nor a probe.
	if !p.paid && !t.keystone.unsettled(p.tried) && !t.glance.unsettled(p.tried) {
		if wait := t.budget.retry(now); wait > 0 {
			return &obstacle{why: errManyRetries, until: earlier(now.Add(wait), p.deadline), lasting: late}
		}
	}
	p.paid = true
	t.keystone.begin(now)
	t.glance.begin(now)
	return nil
}

// holdUp notes that something is in the way, for longer than others take their turns.
func (p *passage) holdUp() { p.paid, p.held, p.turn = true, true, time.Time{} }

// turnLocked keeps those who were held up, or sent away with the pause that is over, from
// going all at once. Nobody fails for it: at his deadline he goes.
func (t *traffic) turnLocked(now time.Time, p *passage) *obstacle {
	sentAway := !p.tried.IsZero() && p.tried.Before(t.pause)
	if !p.held && !sentAway || t.glance.open || t.keystone.open { // a probe has no turn
		return nil
	}
	if p.turn.IsZero() {
		p.turn = later(now, t.turn)
		t.turn = p.turn.Add(turnTime)
	}
	until := p.turn
	if !p.patient {
		until = earlier(until, p.deadline)
	}
	if !now.Before(until) {
		return nil
	}
	return &obstacle{why: errOthersFirst, until: until}
}

var errOthersFirst = &image.Error{Op: "retry", Kind: image.Unavailable, Detail: "others who have waited go first"}

var errManyRetries = &image.Error{Op: "retry", Kind: image.Unavailable, Detail: "too many other requests are being tried again"}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// heed takes what the outcome of a try says of the services.
func (t *traffic) heed(ctx context.Context, o op, err error, took time.Duration, signed bool) {
	glance, keystone := signs(o, err, took, signed)
	t.mu.Lock()
	now := time.Now()
	t.pauseLocked(now, err)
	told := []func(){t.noteLocked(ctx, now, took, t.glance, glance, err), t.noteLocked(ctx, now, took, t.keystone, keystone, err)}
	t.mu.Unlock()
	for _, tell := range told {
		tell()
	}
}

// pauseLocked obeys a Retry-After of the service, for all requests. Other answers than
// these are about one image, and would be about others for who is held up by them.
func (t *traffic) pauseLocked(now time.Time, err error) {
	var a *answerError
	if !errors.As(err, &a) || a.after == 0 || a.away ||
		a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
		return
	}
	until := now.Add(min(a.after, pauseMost))
	if !until.After(t.pause) {
		return
	}
	if !now.Before(t.pause) {
		t.paused = now
	}
	t.pause, t.asked = until, err
	t.turn = until.Add(rand.N(until.Sub(now)/pauseSpread + 1))
}

// noteLocked takes a sign of one service, and returns what writes the line that it is
// worth.
func (t *traffic) noteLocked(ctx context.Context, now time.Time, took time.Duration, c *circuit, s sign, err error) (tell func()) {
	told := c.told
	switch s {
	case answers:
		if c.answered(now) {
			if now.After(t.pause) {
				t.turn = now // nobody has one: all were held up
			}
			t.wakeLocked()
		}
		if !told.IsZero() {
			c.told = time.Time{}
			return func() {
				t.log.InfoContext(ctx, "circuit closed: the service answers again", "service", c.service, "outage", now.Sub(told).Round(time.Second))
			}
		}
	case fails:
		c.failed(now, now.Add(-took), err)
		if !c.away(now) {
			break
		}
		t.wakeLocked()
		if told.IsZero() {
			c.told = c.since
			since, next := c.since, c.wait(now)
			return func() {
				t.log.WarnContext(ctx, "circuit open: the service is away, and one request at a time asks for all until it answers", "service", c.service,
					"since", since.UTC(), "next try in", next.Round(100*time.Millisecond), "error", err)
			}
		}
	}
	return func() {}
}

// wakeLocked lets who waits look again.
func (t *traffic) wakeLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *traffic) trouble() []Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var all []Trouble
	for _, c := range []*circuit{t.glance, t.keystone} {
		if c.forget(now); c.open {
			all = append(all, Trouble{Service: c.service, Since: c.since, Err: c.last, Next: c.next, Away: c.away(now)})
		}
	}
	if now.Before(t.pause) {
		all = append(all, Trouble{Service: t.glance.service, Since: t.paused, Err: t.asked, Next: t.pause, Pause: true})
	}
	return all
}
