package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/imagefs/imagefs/image"
)

// simulated is a service behind a transport that uses no network, so that its minutes
// pass at once in a bubble.
type simulated struct {
	mu    sync.Mutex // guards the fields below
	serve http.RoundTripper
	asked []time.Time
	stall time.Duration // of its client; 0: the default
}

// behaviour is how a service answers.
type behaviour func(*http.Request) (*http.Response, error)

func (b behaviour) RoundTrip(r *http.Request) (*http.Response, error) { return b(r) }

func (s *simulated) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	serve := s.serve
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	return serve.RoundTrip(r)
}

func (s *simulated) become(serve http.RoundTripper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = serve
}

// requests is how many came in [from, to).
func (s *simulated) requests(from, to time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.asked {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// client is a client of the service with the retries that users get.
func (s *simulated) client(t *testing.T, log *slog.Logger) *Client {
	t.Helper()
	o := Options{Logger: log, Stall: s.stall}.withDefaults()
	plain := &http.Client{Transport: &watchdog{next: s, stall: o.Stall, answer: o.Stall}}
	session, _, err := newSession(t.Context(), &access{endpoint: "http://service"}, plain, o)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(o, &transports{plain: plain, upload: plain, identity: plain}, session)
	c.retries.budget = budgetOf(o.Stall)
	c.base = "http://service/v2"
	return c
}

func respond(status int, body string, header ...string) http.RoundTripper {
	return behaviour(func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
	})
}

// redirectTo sends requests to another host, which is answered for by there.
func redirectTo(target string, there http.RoundTripper) http.RoundTripper {
	return behaviour(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "service" {
			return there.RoundTrip(r)
		}
		return respond(http.StatusFound, "", "Location", target).RoundTrip(r)
	})
}

var refuse = behaviour(func(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
})

var hang = behaviour(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

var good = respond(http.StatusOK, record(someID, ""))

// between is how long a reader of a crowd waits before it asks again.
const between = 3 * time.Second

// crowd are readers who each ask for a record, wait a while, and ask again until end.
func crowd(c *Client, n int, end time.Time, each func(took time.Duration, err error)) {
	var readers sync.WaitGroup
	for range n {
		readers.Go(func() {
			for time.Now().Before(end) {
				begun := time.Now()
				_, err := c.Get(context.Background(), someID)
				each(time.Since(begun), err)
				time.Sleep(between)
			}
		})
	}
	readers.Wait()
}

// TestCrowdOnADeadService: hundreds of readers of a service that is in trouble ask it, in
// all, as often as OPERATIONS says; each hears of it in its time and by its kind; and when
// it is back, they do.
func TestCrowdOnADeadService(t *testing.T) {
	const readers = 200
	for _, c := range []struct {
		name  string
		serve http.RoundTripper
		kind  image.Kind
		stall time.Duration // of a request
	}{
		{"refused", refuse, image.Unreachable, 0},
		{"503", respond(503, ""), image.Unavailable, 0},
		{"stalls", hang, image.Stalled, defaultStall},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, lines := logged()
				s := &simulated{serve: c.serve}
				client := s.client(t, log)
				begun := time.Now()
				away := begun.Add(c.stall + restartTime + probeMost*3/2)
				crowd(client, readers, begun.Add(5*time.Minute), func(took time.Duration, err error) {
					wantKind(t, err, c.kind)
					most := restartTime + c.stall
					if c.stall == 0 && time.Since(away) > restartTime {
						most = client.traffic.glance.verdict
					}
					if took > most {
						t.Errorf("it took %v", took)
					}
				})
				// All ask once before anybody can know, and then one at a time.
				if n := s.requests(begun, away); n > readers+circuitFailures+15 {
					t.Errorf("%d requests before it counted as away", n)
				}
				for minute := away; minute.Before(begun.Add(4 * time.Minute)); minute = minute.Add(time.Minute) {
					if n := s.requests(minute, minute.Add(time.Minute)); n > 25 || n < 7 {
						t.Errorf("%d requests in a minute", n)
					}
				}
				if n := strings.Count(lines.String(), "circuit open"); n != 1 {
					t.Errorf("%d lines tell that it is away", n)
				}
				if all := client.Trouble(); len(all) != 1 || all[0].Service != "image" || !all[0].Away || all[0].Pause || all[0].Err == nil {
					t.Errorf("in trouble: %+v", all)
				}

				s.become(good)
				crowd(client, readers, time.Now().Add(time.Second/2), func(took time.Duration, err error) {
					if err != nil || took > client.traffic.glance.verdict+readers*turnTime {
						t.Errorf("when it is back: %v after %v", err, took)
					}
				})
				if n := strings.Count(lines.String(), "circuit closed"); n != 1 || len(client.Trouble()) != 0 {
					t.Errorf("%d lines tell that it is back; in trouble: %+v", n, client.Trouble())
				}
				synctest.Wait()
			})
		})
	}
}

// TestBackFromAnOutage: an outage that is over when a request comes fails it for nobody,
// however short the time that he gives it, and the service is asked no more than he wants
// to know.
func TestBackFromAnOutage(t *testing.T) {
	for _, stall := range []time.Duration{2 * time.Second, 8 * time.Second, 20 * time.Second, defaultStall} {
		for range 5 { // the pauses differ
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{serve: refuse, stall: stall}
				client := s.client(t, nil)
				budget := budgetOf(stall)
				begun := time.Now()
				crowd(client, 20, begun.Add(2*time.Minute), func(_ time.Duration, err error) { wantKind(t, err, image.Unreachable) })
				if n, most := s.requests(begun.Add(time.Minute), begun.Add(2*time.Minute)), int(2*time.Minute/min(probeMost, budget/2)); n > most {
					t.Errorf("--stall-timeout %v: %d requests in a minute", stall, n)
				}
				for n := len(s.asked); n == len(s.asked); { // until a probe has just gone
					_, err := client.Get(t.Context(), someID)
					wantKind(t, err, image.Unreachable)
				}
				s.become(good)
				came := time.Now()
				if _, err := client.Get(t.Context(), someID); err != nil || time.Since(came) > budget {
					t.Errorf("--stall-timeout %v: %v after %v", stall, err, time.Since(came))
				}
			})
		}
	}
}

// TestCrowdOverARestart: nobody whose time is not over fails because others did.
func TestCrowdOverARestart(t *testing.T) {
	for _, c := range []struct {
		name  string
		down  time.Duration
		serve http.RoundTripper
	}{
		{"refused for 1 s", time.Second, refuse},
		{"refused for 10 s", 10 * time.Second, refuse},
		{"503 for 5 s", 5 * time.Second, respond(503, "")},
	} {
		synctest.Test(t, func(t *testing.T) {
			const readers = 200
			log, lines := logged()
			s := &simulated{serve: good}
			client := s.client(t, log)
			begun := time.Now()
			down := begun.Add(time.Minute / 2)
			go func() {
				time.Sleep(time.Until(down))
				s.become(c.serve)
				time.Sleep(c.down)
				s.become(good)
			}()
			crowd(client, readers, begun.Add(time.Minute), func(took time.Duration, err error) {
				if err != nil || took > c.down+client.traffic.glance.verdict+readers*turnTime {
					t.Errorf("%s: %v after %v", c.name, err, took)
				}
			})
			if n := s.requests(down, down.Add(c.down)); n > readers+circuitFailures+15 {
				t.Errorf("%s: %d requests meanwhile", c.name, n)
			}
			if strings.Contains(lines.String(), "circuit") {
				t.Errorf("%s:\n%s", c.name, lines)
			}
		})
	}
}

// TestRefusalsOpenNothing: what the service says of an image, it has answered.
func TestRefusalsOpenNothing(t *testing.T) {
	for _, status := range []int{400, 403, 404, 409, 413, 429, 500} {
		synctest.Test(t, func(t *testing.T) {
			s := &simulated{serve: respond(status, "")}
			client := s.client(t, nil)
			for range 3 * circuitFailures {
				_, err := client.Get(t.Context(), someID)
				if err == nil {
					t.Errorf("%d is success", status)
				}
			}
			if all := client.Trouble(); len(all) != 0 {
				t.Errorf("%d: %+v", status, all)
			}
		})
	}
}

// TestOneStoreInTrouble: data that stall, break off or are refused by Glance itself hold
// up nothing but who wants them.
func TestOneStoreInTrouble(t *testing.T) {
	for name, data := range map[string]http.RoundTripper{
		"stalls": hang, "503": respond(503, "", headerRequestID, "req-1"), "504": respond(504, ""),
		"broken": behaviour(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }),
		// Stores of other hosts, to which the service redirects by signed URLs.
		"refuses elsewhere": redirectTo("http://store.example/x?sig=SECRET", refuse),
		"503 elsewhere":     redirectTo("http://store.example/x?sig=SECRET", respond(503, "", "Retry-After", "40")),
		"senseless address": redirectTo("http://store.example/%zz?sig=SECRET", refuse),
	} {
		var log bytes.Buffer
		synctest.Test(t, func(t *testing.T) {
			s := &simulated{serve: behaviour(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host != "service" || strings.HasSuffix(r.URL.Path, "/file") {
					return data.RoundTrip(r)
				}
				return good.RoundTrip(r)
			})}
			client := s.client(t, slog.New(slog.NewTextHandler(&log, nil)))
			client.identifies = true
			var readers sync.WaitGroup
			for range 3 * circuitFailures {
				readers.Go(func() {
					body, err := client.OpenSpan(t.Context(), active(1000), image.Span{Len: 1000})
					if err == nil {
						t.Errorf("%s: %v", name, body.Close())
					} else if strings.Contains(err.Error(), "SECRET") {
						t.Errorf("%s: the query is in the error: %v", name, err)
					}
				})
			}
			readers.Wait()
			if strings.Contains(log.String(), "SECRET") {
				t.Errorf("%s: the query is in the log: %s", name, log.String())
			}
			begun := time.Now()
			if _, err := client.Get(t.Context(), someID); err != nil || time.Since(begun) != 0 || len(client.Trouble()) != 0 {
				t.Errorf("%s: %v after %v, %+v", name, err, time.Since(begun), client.Trouble())
			}
		})
	}
}

// TestPauseForAll: a Retry-After, on 429 or 503, is obeyed by every request: those that have
// the time wait, the others fail at once, and none waits longer than the bound.
func TestPauseForAll(t *testing.T) {
	plain := func(ctx context.Context) context.Context { return ctx }
	for _, c := range []struct {
		name  string
		as    func(context.Context) context.Context
		after string
		want  time.Duration // until the next request is answered; 0: it fails at once
	}{
		{"short", plain, "7", 7 * time.Second},
		{"too long", plain, "40", 0},
		{"a commit's", image.Patiently, "40", 40 * time.Second},
		{"senseless", image.Patiently, "86400", pauseMost},
		{"tried again by its caller", image.Briefly, "7", 0},
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{serve: respond(status, "", "Retry-After", c.after)}
				client := s.client(t, nil)
				_, err := client.Get(image.Briefly(t.Context()), otherID)
				wantKind(t, err, image.Unavailable)
				s.become(good)
				if all := client.Trouble(); len(all) != 1 || time.Until(all[0].Next) > pauseMost || all[0].Away || !all[0].Pause {
					t.Errorf("%s: in trouble: %+v", c.name, all)
				}
				begun := time.Now()
				_, err = client.Get(c.as(t.Context()), someID)
				took := time.Since(begun)
				switch {
				case c.want == 0 && (took != 0 || !image.Is(err, image.Unavailable) || len(s.asked) != 1):
					t.Errorf("%s: %v after %v, %d requests", c.name, err, took, len(s.asked))
				case c.want > 0 && (took < c.want || took > c.want+c.want/pauseSpread || err != nil):
					t.Errorf("%s: %v after %v", c.name, err, took)
				}
			})
		}
	}
}

// TestPauseOfOneImage: an answer about one image holds up no other, whatever header it has.
func TestPauseOfOneImage(t *testing.T) {
	for _, status := range []int{403, 404, 409, 413, 500, 502} {
		synctest.Test(t, func(t *testing.T) {
			s := &simulated{serve: respond(status, "", "Retry-After", "30")}
			client := s.client(t, nil)
			if _, err := client.Get(image.Briefly(t.Context()), otherID); err == nil {
				t.Errorf("%d is success", status)
			}
			s.become(good)
			begun := time.Now()
			if _, err := client.Get(t.Context(), someID); err != nil || time.Since(begun) != 0 {
				t.Errorf("%d: another image: %v after %v", status, err, time.Since(begun))
			}
		})
	}
}

// TestPermissionOfACrowd: who opens one image while the service is away waits for it, not
// for each other, and asks it as other requests do.
func TestPermissionOfACrowd(t *testing.T) {
	for name, c := range map[string]struct {
		serve http.RoundTripper
		most  time.Duration
	}{
		"refuses": {refuse, permissionQueue + restartTime + probeMost*3/2},
		"stalls":  {hang, permissionQueue + defaultStall},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &simulated{serve: c.serve}
			client := s.client(t, nil)
			begun := time.Now()
			var openers sync.WaitGroup
			for range 10 {
				openers.Go(func() {
					if err := client.MayRead(t.Context(), active(10)); err == nil {
						t.Errorf("%s: permitted", name)
					}
				})
			}
			openers.Wait()
			if took := time.Since(begun); took > c.most || len(s.asked) > 40 {
				t.Errorf("%s: %v, %d requests", name, took, len(s.asked))
			}
		})
	}
}

// TestPermissionIsHeldUp: a pause that the service asks for is kept by the question, too.
func TestPermissionIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{serve: respond(429, "", "Retry-After", "50")}
		client := s.client(t, nil)
		_, err := client.Get(image.Briefly(t.Context()), otherID)
		wantKind(t, err, image.Unavailable)
		wantKind(t, client.MayRead(t.Context(), active(10)), image.Unavailable)
		if len(s.asked) != 1 {
			t.Errorf("%d requests", len(s.asked))
		}
	})
}

// TestOneAfterTheOther: those who were held up do not all go at once when the pause or the
// outage is over, nor do those of several mounts after a pause; a limit that is met again
// stops the rest; and nobody fails because he waited for his turn.
func TestOneAfterTheOther(t *testing.T) {
	const readers = 100
	limit := respond(429, "", "Retry-After", "5")
	for _, c := range []struct {
		name       string
		bad, again http.RoundTripper
	}{
		{"a pause", limit, good},
		{"a pause, and another", limit, behaviour(func(r *http.Request) (*http.Response, error) {
			time.Sleep(turnTime / 2)
			return limit.RoundTrip(r)
		})},
		{"an outage", refuse, good},
	} {
		first := map[time.Duration]bool{}
		for range 5 {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{serve: c.bad}
				client := s.client(t, nil)
				begun := time.Now()
				end := begun.Add(5 * time.Second)
				var all sync.WaitGroup
				ask := func() {
					if _, err := client.Get(t.Context(), someID); err != nil {
						t.Errorf("%s: %v after %v", c.name, err, time.Since(begun))
					}
				}
				for range readers {
					all.Go(ask)
				}
				time.Sleep(time.Second)
				for range readers {
					all.Go(ask)
				}
				time.Sleep(time.Until(end) - 1)
				s.become(c.again)
				time.Sleep(5 * time.Second)
				s.become(good)
				all.Wait()
				late := s.asked
				for late[0].Before(end) {
					late = late[1:]
				}
				first[late[0].Sub(end)] = true
				for _, at := range late {
					if n := s.requests(at, at.Add(turnTime)); n > 2 { // one may be a probe
						t.Fatalf("%s: %d requests at once, %v after the end", c.name, n, at.Sub(end))
					}
				}
			})
		}
		if len(first) < 2 {
			t.Errorf("%s: five mounts come back at once", c.name)
		}
	}
}

// TestHeldAndCancelled: who waits for a service in trouble is free when its ctx ends, and
// hears what it waited for.
func TestHeldAndCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{serve: refuse}
		client := s.client(t, nil)
		for range circuitFailures {
			_, err := client.Get(image.Briefly(t.Context()), someID)
			wantKind(t, err, image.Unreachable)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := client.Get(ctx, someID)
		wantKind(t, err, image.Stalled)
		if took := time.Since(begun); took != 20*time.Millisecond || !strings.Contains(err.Error(), "get image "+someID) || len(s.asked) != circuitFailures {
			t.Errorf("%v after %v and %d requests", err, took, len(s.asked))
		}
	})
}

// TestPatience: when the service is away, a commit waits for it as long as it may.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{serve: refuse}
		client := s.client(t, nil)
		for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(time.Second) {
			_, err := client.Get(t.Context(), someID)
			wantKind(t, err, image.Unreachable)
		}
		begun := time.Now()
		_, err := client.Get(image.Patiently(t.Context()), someID)
		wantKind(t, err, image.Unreachable)
		if took := time.Since(begun); took < restartTime/2 || took > restartTime {
			t.Errorf("%v after %v", err, took)
		}
		go func() {
			time.Sleep(5 * time.Second)
			s.become(good)
		}()
		if _, err := client.Get(image.Patiently(t.Context()), someID); err != nil {
			t.Error(err)
		}
	})
}

// TestKeystoneApart: a Keystone that is away holds up who needs a token of it, whatever
// the Image service does, and is asked as seldom.
func TestKeystoneApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := logged()
		s := &simulated{serve: respond(401, "")}
		client := s.client(t, log)
		client.session.provider = &gophercloud.ProviderClient{ReauthFunc: func(context.Context) error {
			return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}}
		begun := time.Now()
		crowd(client, 100, begun.Add(5*time.Minute), func(took time.Duration, err error) {
			wantKind(t, err, image.IdentityAway)
			if took > restartTime {
				t.Errorf("it took %v", took)
			}
		})
		for minute := 1; minute < 5; minute++ {
			if n := s.requests(begun.Add(time.Duration(minute)*time.Minute), begun.Add(time.Duration(minute+1)*time.Minute)); n > 25 || n < 7 {
				t.Errorf("%d requests in minute %d", n, minute)
			}
		}
		if all := client.Trouble(); len(all) != 1 || all[0].Service != "identity" || !strings.Contains(lines.String(), "service=identity") {
			t.Errorf("in trouble: %+v", all)
		}
		s.become(good) // another's token would do
		time.Sleep(client.traffic.glance.verdict)
		if _, err := client.Get(t.Context(), someID); err != nil || len(client.Trouble()) != 0 {
			t.Errorf("%v, %+v", err, client.Trouble())
		}
		client.session.close()
	})
}

// TestRetriesAreBudgeted: a service of which a part fails gets a bounded number of
// requests more, and who waits for a retry is answered in the end.
func TestRetriesAreBudgeted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{}
		var turn, failed int
		s.serve = behaviour(func(r *http.Request) (*http.Response, error) {
			s.mu.Lock()
			turn++
			bad := turn%5 < 2
			if bad {
				failed++
			}
			s.mu.Unlock()
			if bad {
				return respond(503, "").RoundTrip(r)
			}
			return good.RoundTrip(r)
		})
		client := s.client(t, nil)
		var mu sync.Mutex
		var calls, errs int
		begun := time.Now()
		crowd(client, 200, begun.Add(time.Minute), func(took time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if err != nil {
				errs++
			}
			if took > restartTime {
				t.Errorf("it took %v", took)
			}
		})
		seconds := time.Since(begun).Seconds()
		if retries, most := float64(turn-calls), retryShare*float64(calls)+retryRate*seconds+retryBurst; retries > most || retries < most/2 {
			t.Errorf("%v retries of %d requests, want at most %v", retries, calls, most)
		}
		if failed == 0 || len(client.Trouble()) != 0 {
			t.Errorf("%d failed, in trouble: %+v", failed, client.Trouble())
		}
		t.Logf("%d calls, %d requests, %d failures, %d errors", calls, turn, failed, errs)
	})
}

// TestSigns: what an outcome says of the services.
func TestSigns(t *testing.T) {
	answered := func(status int, id string) error {
		return &image.Error{Kind: image.Unavailable, RequestID: id, Err: &answerError{status: status}}
	}
	broken := func(k image.Kind, cause error) error {
		return &image.Error{Kind: k, Err: &transportError{err: cause}}
	}
	waited := func(k image.Kind, cause error) error {
		return &image.Error{Kind: k, Err: &image.Error{Kind: k, Err: &renewalError{cause}}}
	}
	for _, c := range []struct {
		name         string
		err          error
		took         time.Duration
		record, data sign // by the Image service
		keystone     sign // of a record
	}{
		{"success", nil, 0, answers, answers, answers},
		{"404", answered(404, ""), 0, answers, answers, answers},
		{"429", answered(429, ""), 0, answers, answers, answers},
		{"500", answered(500, ""), 0, answers, answers, answers},
		{"502", answered(502, ""), 0, fails, fails, silent},
		{"503", answered(503, ""), 0, fails, fails, silent},
		{"503 by Glance", answered(503, "req-1"), 0, fails, silent, silent},
		{"504", answered(504, ""), 0, fails, silent, silent},
		{"no Keystone", &image.Error{Kind: image.IdentityAway}, 0, answers, answers, fails},
		{"no Keystone in time", waited(image.Stalled, context.DeadlineExceeded), slowAnswer, answers, answers, fails},
		{"Keystone hardly asked", waited(image.Stalled, context.DeadlineExceeded), time.Second, answers, answers, silent},
		{"cancelled while Keystone is asked", waited(image.Interrupted, context.Canceled), time.Minute, answers, answers, silent},
		{"not sent", &image.Error{Kind: image.Other, Err: syscall.EIO}, 0, silent, silent, silent},
		{"refused", broken(image.Unreachable, syscall.ECONNREFUSED), 0, fails, fails, silent},
		{"reset", broken(image.Unavailable, syscall.ECONNRESET), 0, fails, silent, silent},
		{"stalled", broken(image.Stalled, errStalled), time.Minute, fails, silent, silent},
		{"out of time", broken(image.Stalled, context.DeadlineExceeded), slowAnswer, fails, silent, silent},
		{"hardly begun", broken(image.Stalled, context.DeadlineExceeded), time.Second, silent, silent, silent},
		{"cancelled", broken(image.Interrupted, context.Canceled), time.Minute, silent, silent, silent},
		{"no descriptors", broken(image.NoDescriptors, syscall.EMFILE), 0, silent, silent, silent},
		{"refused elsewhere", &image.Error{Kind: image.Unreachable, Err: &transportError{away: true, err: syscall.ECONNREFUSED}}, 0, answers, answers, answers},
		{"503 from elsewhere", &image.Error{Kind: image.Unavailable, Err: &answerError{status: 503, away: true}}, 0, answers, answers, answers},
		{"no record", &image.Error{Kind: image.UnexpectedAnswer, Err: errors.New("x")}, 0, answers, answers, answers},
	} {
		record, keystone := signs(opGet, c.err, c.took, true)
		data, _ := signs(opSpan, c.err, c.took, true)
		permission, _ := signs(opPermission, c.err, c.took, true) // it waits for the store, too
		if permission != data {
			t.Errorf("%s: %v of permission, want %v", c.name, permission, data)
		}
		if got, want := fmt.Sprint(record, data, keystone), fmt.Sprint(c.record, c.data, c.keystone); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}
