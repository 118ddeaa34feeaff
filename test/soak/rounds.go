package main

import (
	"net/http"
	"slices"
	"time"

	"github.com/imagefs/imagefs/test/fault"
)

// calm is the round in which nothing is wrong, and no operation may fail.
const calm = "nothing"

// rounds are what the soak consists of.
func (s *soak) rounds() {
	end := s.began.Add(s.length)
	s.oneRound(event{what: calm}) // the warm-up
	s.measure("after the warm-up")
	for _, what := range s.plan {
		if !s.ended() {
			s.oneRound(s.event(what))
		}
	}
	for len(s.plan) == 0 && time.Now().Before(end) && !s.ended() {
		kills := time.Until(end) > time.Duration((1-killsFor)*float64(s.length))
		s.oneRound(s.next(kills))
		if !kills && s.sampler.outlived() {
			s.measure("after the last kill")
		}
	}
	if s.ended() {
		return
	}
	s.oneRound(event{what: calm})
	s.measure("at the end")
	if s.ended() {
		return
	}
	s.audit(true)
	if err := s.daemon.Unmount(); err != nil {
		s.fail("the unmount: %v", err)
	}
}

// next is what happens in the next round: each of all that can once, in a random order,
// before one of them comes again. But the daemon is killed first, for there is not much time
// for that.
func (s *soak) next(kills bool) event {
	if s.only != "" && (kills || s.only != killDaemon) {
		return s.event(s.only)
	}
	for {
		if len(s.order) == 0 {
			for _, e := range s.all() {
				s.order = append(s.order, e.what)
			}
			s.random.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		}
		what := s.order[0]
		if kills && s.happened[killDaemon] == 0 {
			what = killDaemon
		}
		s.order = slices.DeleteFunc(s.order, func(w string) bool { return w == what })
		if kills || what != killDaemon {
			return s.event(what)
		}
	}
}

// all are the things that can happen.
func (s *soak) all() []event { return append(s.service.events(), s.events()...) }

// event is one of them.
func (s *soak) event(what string) event {
	all := s.all()
	i := slices.IndexFunc(all, func(e event) bool { return e.what == what })
	if i < 0 {
		s.fail("nothing is called %q", what)
		return event{what: calm}
	}
	return all[i]
}

// oneRound has the workers work, and something happen in the middle of it.
func (s *soak) oneRound(e event) {
	s.log("round: %s", e.what)
	s.happened[e.what]++
	if e.what != calm {
		s.trouble.begin(e.what)
		some := s.service.faults()
		if s.plan != nil {
			some = faults // a stall alone takes longer than all that is planned
		}
		s.proxy.Rate(s.random.Uint64(), faultRate, some...)
	}
	s.gate.open()
	s.sleep(s.round/2 + s.upTo(s.round/2))
	if e.do != nil && !s.ended() {
		if err := e.do(s); err != nil {
			s.fail("%s: %v", e.what, err)
		}
		s.sleep(s.upTo(s.round / 2))
	}
	if n := s.gate.close(opBound + time.Minute); n > 0 {
		s.fail("%d operations do not end", n)
		s.dump()
		return
	}
	s.proxy.Rate(0, 0)
	if e.what == fullDisk {
		s.mend()
	}
	s.trouble.end()
	if !s.ended() {
		s.audit(false)
	}
}

// mend has the workers make or remove once more what has failed. A file that waits to be
// uploaded, and of which a write was refused, would wait until then.
func (s *soak) mend() {
	for _, w := range s.workers {
		for _, f := range w.files {
			if f.failed && !s.ended() {
				w.mend(f)
			}
		}
	}
}

// faults are those that requests meet: a service in trouble. None is a refusal, and each
// can be told from a right answer.
var faults = []fault.Fault{
	fault.Refused, fault.Reset, fault.LostAnswer, fault.ResetInHeader, fault.ResetInBody, fault.SlowDrip, fault.Slow(slow),
	fault.Status(http.StatusTooManyRequests, "Later."), fault.Status(http.StatusInternalServerError, "Something broke."),
	fault.Status(http.StatusBadGateway, "Bad Gateway"), fault.Status(http.StatusServiceUnavailable, "Service Unavailable"),
	fault.Status(http.StatusGatewayTimeout, "Gateway Timeout"),
	fault.Truncated, fault.TruncatedUntold, fault.ExtraBytes, fault.ExtraBytesCounted, fault.WrongRange,
	fault.InvalidJSON, fault.MissingFields,
}

// slow is less than the time in which a request has to make progress.
const slow = 3 * time.Second

// The names of events that others ask for.
const (
	killDaemon = "kill -9 of the daemon"
	fullDisk   = "a full disk"
)

// events are what can happen beside the service's.
func (s *soak) events() []event {
	all := []event{
		{calm, nil},
		{"faults alone", nil},
		{killDaemon, (*soak).killDaemon},
	}
	if s.disk.Mounted {
		all = append(all, event{fullDisk, (*soak).fillDisk})
	}
	return all
}

// mountTries is how often a mount is tried while requests meet faults: that three in turn
// fail for them is a chance of one in thousands.
const mountTries = 3

// killDaemon kills the daemon under its workers, and mounts again.
func (s *soak) killDaemon() error {
	s.writeback = s.random.IntN(2) == 0
	err := s.daemon.Crash(func() {
		if n := s.gate.close(hungBound); n > 0 {
			s.hung += n
			s.log("%d operations hang on the dead mount", n)
			s.gate.kill()
		}
	})
	if err != nil {
		return err
	}
	if n := s.gate.close(hungBound); n > 0 {
		s.fail("%d operations hang, though the dead mount was taken away", n)
	}
	var args []string
	if s.writeback {
		args = append(args, "--writeback")
	}
	for tries := 1; ; tries++ { // an answer without sense to its first request ends a mount
		err := s.daemon.Mount(args...)
		if err == nil {
			break
		}
		if s.log("the mount does not come: %v", err); tries == mountTries {
			return err
		}
	}
	s.sampler.newLife()
	s.gate.open()
	return nil
}
