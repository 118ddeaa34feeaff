package client

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// circuitFailures in a row open a circuit: two bad connections, or the two tries of
	// one unlucky request, say nothing of a service.
	circuitFailures = 5
	// restartTime is how long requests wait for a service: a restart of Glance or of a
	// proxy takes 5 to 10 s, and must fail nothing that can wait.
	restartTime = 15 * time.Second
	// probeFirst and probeMost are the mean pauses between two probes: the first finds the
	// end of a short restart at once, the last is no load, and little to wait for.
	probeFirst = 100 * time.Millisecond
	probeMost  = 5 * time.Second
	// restartProbes at the least go while requests wait for a restart: one of them between
	// the end of one that takes two thirds of that time and the end of the waiting.
	restartProbes = 5
	// calm is how long a circuit must have been closed for its pauses to begin anew: a
	// service that breaks down under whoever waited for it is not asked more each time.
	calm = 30 * time.Second
	// forgotten is how long nobody need have asked for what was known of a service to say
	// nothing any more: longer than any pause between probes.
	forgotten = 30 * time.Second
)

// circuit is what is known of whether a service answers. Closed, it lets all requests
// go. Failures in a row open it: then one request goes as a probe each pause, and the
// pauses grow; any answer closes it. It has neither a lock nor a clock.
type circuit struct {
	service  string        // whose: "image" or "identity"
	restart  time.Duration // how long it may fail before it counts as away
	verdict  time.Duration // how long a request waits for what becomes of the next probe
	failures int           // in a row
	since    time.Time     // of the first of them
	last     error         // of the last of them
	asked    time.Time     // when the latest request that has failed began
	open     bool
	next     time.Time // when the next probe may go, while it is open
	closed   time.Time // when it was closed the last time
	heard    time.Time // when the last answer came
	active   time.Time // when the last request went or failed
	pauses   backoff.ExponentialBackOff
	told     time.Time // since when the service has failed, as the log has it; zero: it has not
}

func newCircuit(service string, restart time.Duration) *circuit {
	// Who does not wait long finds no long pause: it ends within the time that he has.
	most := min(probeMost, restart/2)
	return &circuit{
		service: service, restart: restart,
		verdict: most * 3 / 2, // any pause, which differs from its mean by half of it, has passed then
		pauses:  backoff.ExponentialBackOff{InitialInterval: probeFirst, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: most},
	}
}

// forget closes the circuit of a service that nobody has asked for long.
func (c *circuit) forget(now time.Time) {
	if c.failures > 0 && now.Sub(c.active) > forgotten {
		c.failures, c.open, c.last = 0, false, nil
	}
}

// wait is how long nothing may go; 0 when a request may.
func (c *circuit) wait(now time.Time) time.Duration {
	c.forget(now)
	if !c.open {
		return 0
	}
	return max(c.next.Sub(now), 0)
}

// begin notes a request that goes. While the circuit is open it is the probe.
func (c *circuit) begin(now time.Time) {
	c.active = now
	if c.open {
		c.next = now.Add(c.pause(now))
	}
}

// pause is the next pause. While the service may only have been restarted it is short
// enough for who waits to see the end of that within the time that he has.
func (c *circuit) pause(now time.Time) time.Duration {
	pause := c.pauses.NextBackOff()
	if now.Sub(c.since) < c.restart {
		pause = min(pause, c.restart/restartProbes)
	}
	return pause
}

// answered notes that the service answers, and reports whether that closes the circuit.
func (c *circuit) answered(now time.Time) bool {
	was := c.open
	c.failures, c.open, c.last, c.heard = 0, false, nil, now
	if was {
		c.closed = now
	}
	return was
}

// failed notes a failure of the service, by a request of an earlier time. What began
// before the last answer, and has stalled since, says nothing any more.
func (c *circuit) failed(now, begun time.Time, err error) {
	if begun.Before(c.heard) {
		return
	}
	c.forget(now)
	c.active = now
	if begun.After(c.asked) {
		c.asked = begun
	}
	if c.failures == 0 {
		c.since = now
	}
	c.failures++
	c.last = err
	if c.open || c.failures < circuitFailures {
		return
	}
	c.open = true
	if now.Sub(c.closed) > calm {
		c.pauses.Reset()
	}
	c.next = now.Add(c.pause(now))
}

// unsettled reports that the circuit is open, or was closed after a time.
func (c *circuit) unsettled(after time.Time) bool { return c.open || c.closed.After(after) }

// away reports that the service has failed for longer than a restart takes.
func (c *circuit) away(now time.Time) bool { return c.open && now.Sub(c.since) >= c.restart }

// patience is until when a request that came at a time waits for the service: at least
// as long as a restart takes, and until the circuit has judged it anew. So nobody hears
// of an outage that was over when he came.
func (c *circuit) patience(now, came time.Time) time.Time {
	if c.away(now) && !c.asked.Before(came) {
		return now
	}
	return later(c.since.Add(c.restart), came.Add(c.verdict))
}
