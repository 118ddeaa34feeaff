package catalog

import (
	"testing"
	"time"
)

func TestPassDue(t *testing.T) {
	for _, tt := range []struct {
		age, took, ttl time.Duration
		want           bool
	}{
		{29, 1, 30, false},
		{30, 1, 30, true},
		{30, 10, 30, true},
		{30, 11, 30, false},
		{134, 45, 30, false},
		{135, 45, 30, true},
	} {
		if got := passDue(tt.age, tt.took, tt.ttl); got != tt.want {
			t.Errorf("passDue(%d, %d, %d) = %v", tt.age, tt.took, tt.ttl, got)
		}
	}
}

func TestDeltaBound(t *testing.T) {
	newest := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for title, tt := range map[string]struct {
		now  time.Time
		took time.Duration
		want time.Time
	}{
		"a quiet service":          {newest.Add(time.Hour), 0, newest.Add(-time.Minute)},
		"a long pass":              {newest.Add(time.Hour), 45 * time.Second, newest.Add(-105 * time.Second)},
		"whole seconds":            {newest, 1500 * time.Millisecond, newest.Add(-62 * time.Second)},
		"a record from the future": {newest.Add(-time.Hour), 0, newest.Add(-61 * time.Minute)},
	} {
		if got := deltaBound(newest, tt.now, tt.took); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", title, got, tt.want)
		}
	}
}
