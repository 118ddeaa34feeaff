package client

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

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
