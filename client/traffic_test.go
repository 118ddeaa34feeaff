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
