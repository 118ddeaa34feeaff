package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParsePeriod(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90m": 90 * time.Minute, "36h": 36 * time.Hour, "7d": 7 * day, "1d12h": 36 * time.Hour, " 2d ": 2 * day, "0d": 0, "1572863h": 65535*day + 23*time.Hour,
	} {
		if got, err := ParsePeriod(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "7", "-1h", "d", "-1d", "1.5d", "1d-1h", "7d7d", "a week", "70000d", "1d9223372036s", "2562047h", "65535d24h"} {
		if got, err := ParsePeriod(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFormatPeriod(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 7 * day: "7d", 36 * time.Hour: "1d12h", 90 * time.Minute: "1h30m", time.Minute: "1m", 2 * time.Second: "2s", 10 * time.Hour: "10h",
	} {
		if got := FormatPeriod(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(3650*day)).Draw(t, "d"))
		if got, err := ParsePeriod(FormatPeriod(d)); err != nil || got != d {
			t.Fatalf("%v is written %q and read as %v, %v", d, FormatPeriod(d), got, err)
		}
	})
}
