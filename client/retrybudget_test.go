package client

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
