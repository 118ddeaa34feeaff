package link

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is sent when, no stretch of time carries more than the rate allows, and
// a sender that never pauses gets all of it.
func TestLimiterRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := float64(rapid.IntRange(1e6, 1e9).Draw(t, "rate"))
		sizes := rapid.SliceOfN(rapid.IntRange(1, pieceSize), 2, 200).Draw(t, "sizes")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 3000), len(sizes), len(sizes)).Draw(t, "pauses in µs")
		busy := rapid.Bool().Draw(t, "busy")
		l := limiter{rate: rate}
		now := time.Unix(0, 0)
		left := make([]time.Time, len(sizes))
		var all int
		for i, n := range sizes {
			if !busy {
				now = now.Add(time.Duration(pauses[i]) * time.Microsecond)
			}
			left[i] = l.reserve(now, n)
			all += n
			if left[i].Before(now) {
				t.Fatalf("piece %d has left before it was ready", i)
			}
		}
		// Each piece may round by a nanosecond.
		slack := float64(len(sizes)) * 1e-9
		for i := range sizes {
			bytes := 0
			for j := i + 1; j < len(sizes); j++ {
				bytes += sizes[j]
				if took := left[j].Sub(left[i]).Seconds(); float64(bytes)/rate > took+slack {
					t.Fatalf("%d bytes took %v s at %v bytes/s", bytes, took, rate)
				}
			}
		}
		if took := left[len(left)-1].Sub(time.Unix(0, 0)).Seconds(); busy && took > float64(all)/rate+slack {
			t.Fatalf("%d bytes without a pause took %v s at %v bytes/s", all, took, rate)
		}
	})
}

func TestLimiterHold(t *testing.T) {
	l := limiter{rate: 1e6}
	start := time.Unix(0, 0)
	l.hold(start.Add(time.Second))
	if left := l.reserve(start, 1e6); left.Sub(start) != 2*time.Second {
		t.Errorf("a held limiter lets go after %v", left.Sub(start))
	}
	l.hold(start)
	if left := l.reserve(start, 1e6); left.Sub(start) != 3*time.Second {
		t.Errorf("holding for a time that is over changed the promise to %v", left.Sub(start))
	}
	if left := (&limiter{}).reserve(start, 1<<40); left != start {
		t.Errorf("no limit, and yet %v", left.Sub(start))
	}
}
