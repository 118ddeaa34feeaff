package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is what people call 24 hours where they mean a time to keep something.
const day = 24 * time.Hour

// maxPeriod is more than anybody keeps anything, and what is in 16 bits of days.
const maxPeriod = (1<<16)*day - 1

// ParsePeriod reads how long something is kept: as Go writes durations ("36h",
// "90m"), and with days before it ("7d", "1d12h").
func ParsePeriod(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write for example 36h or 7d", s)
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if days, after, found := strings.Cut(rest, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total, rest = time.Duration(n)*day, after
		if rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxPeriod-total {
		return 0, bad
	}
	return total + d, nil
}

// FormatPeriod writes a period so that ParsePeriod reads the same.
func FormatPeriod(d time.Duration) string {
	days, rest := "", d%day
	if d >= day {
		days = strconv.FormatInt(int64(d/day), 10) + "d"
	}
	switch {
	case d == 0:
		return "0"
	case rest == 0:
		return days
	}
	text := rest.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return days + text
}
