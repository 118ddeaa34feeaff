package client

import (
	"net/http"
	"testing"
	"time"
)

// The time is the service's, and the host's where they agree or nobody tells.
func TestClock(t *testing.T) {
	for name, c := range map[string]struct {
		date  func(now time.Time) string
		ahead time.Duration
	}{
		"none":             {func(time.Time) string { return "" }, 0},
		"senseless":        {func(time.Time) string { return "soon" }, 0},
		"the same":         {func(now time.Time) string { return now.UTC().Format(http.TimeFormat) }, 0},
		"a day ahead":      {func(now time.Time) string { return now.Add(24 * time.Hour).UTC().Format(http.TimeFormat) }, 24 * time.Hour},
		"ten years behind": {func(now time.Time) string { return now.Add(-10 * 8766 * time.Hour).UTC().Format(http.TimeFormat) }, -10 * 8766 * time.Hour},
	} {
		var cl Client
		cl.clock.read(http.Header{"Date": {c.date(time.Now())}})
		if off := time.Until(cl.Now()) - c.ahead; off.Abs() > clockError {
			t.Errorf("%s: the time is off by %s", name, off)
		}
	}
}

// Where data comes from another host, its clock is not the service's.
func TestClockOfAnotherHost(t *testing.T) {
	other := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
		_, _ = w.Write([]byte("x"))
	})
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) })
	wantPermission(t, c.MayRead(t.Context(), active(1)))
	if off := time.Until(c.Now()); off.Abs() > clockError {
		t.Errorf("the time is off by %s", off)
	}
}
