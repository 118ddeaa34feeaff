package client

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCircuit: whatever comes in whatever order, the circuit is open exactly while the
// last failures were enough and no answer came since; open, it lets probes go no faster
// than its pauses, and always one again; and it never calls a restart an outage.
func TestCircuit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := newCircuit("image", restartTime), time.Unix(1_000_000, 0)
		failures, since := 0, now // of the model
		var heard, active time.Time
		var probes []time.Time // since the circuit was opened
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(forgotten/2)).Draw(t, "passed")))
			},
			"try": func(t *rapid.T) {
				if c.wait(now) > 0 {
					return
				}
				c.begin(now)
				active = now
				if failures >= circuitFailures {
					probes = append(probes, now)
				}
			},
			"failure": func(t *rapid.T) {
				begun := now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "took")))
				c.failed(now, begun, errors.New("x"))
				if begun.Before(heard) {
					return
				}
				if failures++; failures == 1 {
					since = now
				}
				if active = now; failures == circuitFailures {
					probes = nil
				}
			},
			"answer": func(t *rapid.T) {
				if closed := c.answered(now); closed != (failures >= circuitFailures) {
					t.Fatalf("after %d failures an answer closes: %v", failures, closed)
				}
				failures, heard = 0, now
			},
			"": func(t *rapid.T) {
				if now.Sub(active) > forgotten {
					failures = 0
				}
				wait, open := c.wait(now), failures >= circuitFailures
				switch {
				case c.open != open:
					t.Fatalf("after %d failures it is open: %v", failures, c.open)
				case !open && wait != 0:
					t.Fatalf("closed, it waits %v", wait)
				case wait > probeMost*3/2:
					t.Fatalf("it waits %v", wait)
				case open && c.next.Sub(since) < restartTime && wait > restartTime/restartProbes:
					t.Fatalf("it may be a restart, and it waits %v", wait)
				case c.away(now) != (open && now.Sub(since) >= restartTime):
					t.Fatalf("away %v after %v, open %v", c.away(now), now.Sub(since), open)
				}
				if n := len(probes); n > 1 && probes[n-1].Sub(probes[n-2]) < probeFirst/2 {
					t.Fatalf("two probes within %v", probes[n-1].Sub(probes[n-2]))
				}
				// After six of them (0.1 s, doubled) the pauses have their full length.
				if n := len(probes); n > 7 && probes[n-1].Sub(probes[n-2]) < probeMost/2 {
					t.Fatalf("the probes %d and %d are only %v apart", n-1, n, probes[n-1].Sub(probes[n-2]))
				}
			},
		})
	})
}

// TestForgottenCircuit: what failed before nobody asked for a while does not make an
// outage of the next restart.
func TestForgottenCircuit(t *testing.T) {
	c, now := newCircuit("image", restartTime), time.Unix(1_000_000, 0)
	c.failed(now, now, errors.New("x"))
	now = now.Add(time.Hour)
	for range circuitFailures {
		if c.open {
			t.Error("it is open")
		}
		c.failed(now, now, errors.New("x"))
	}
	if !c.open || c.away(now) {
		t.Errorf("open %v, away %v", c.open, c.away(now))
	}
}

// TestReopenedCircuit: a service that breaks down again under whoever waited for it is
// asked no more often than before; one that was well for a while is asked soon.
func TestReopenedCircuit(t *testing.T) {
	c, now := newCircuit("image", restartTime), time.Unix(1_000_000, 0)
	open := func() time.Duration {
		for range circuitFailures {
			c.failed(now, now, errors.New("x"))
		}
		return c.wait(now)
	}
	open()
	for range 10 {
		now = now.Add(c.wait(now))
		c.begin(now)
	}
	c.answered(now)
	if wait := open(); wait < probeMost/2 {
		t.Errorf("opened again at once, it waits %v", wait)
	}
	c.answered(now)
	now = now.Add(calm + 1)
	if wait := open(); wait > 2*probeFirst {
		t.Errorf("opened again after a while, it waits %v", wait)
	}
}

// TestRetryBudget: in any time the retries are a share of the requests, a rate and a
// burst, and one is to be had when the budget says so.
func TestRetryBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b retryBudget
		begun := time.Unix(1_000_000, 0)
		now, requests, retries := begun, 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "passed")))
			},
			"requests": func(t *rapid.T) {
				for range rapid.IntRange(1, 300).Draw(t, "n") {
					requests++
					b.request(now)
				}
			},
			"retries": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					wait := b.retry(now)
					if wait == 0 {
						retries++
						continue
					}
					now = now.Add(wait)
					if again := b.retry(now); again > time.Millisecond {
						t.Fatalf("after a wait of %v another of %v", wait, again)
					} else if again == 0 {
						retries++
					}
				}
			},
			"": func(t *rapid.T) {
				most := retryShare*float64(requests) + retryRate*now.Sub(begun).Seconds() + retryBurst + 1
				if float64(retries) > most {
					t.Fatalf("%d retries of %d requests in %v", retries, requests, now.Sub(begun))
				}
			},
		})
	})
}
