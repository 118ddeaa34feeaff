package metrics

import (
	"strings"
	"testing"
)

func TestWriteNow(t *testing.T) {
	before := Snapshot{PID: 1, Uptime: 10, Cache: Cache{Fetched: 1 << 20, Hits: 5, Misses: 5}, Uploads: []Upload{{Draft: "a", Sent: 4 << 20}, {Draft: "b", Sent: 9 << 20}, {Draft: "gone", Sent: 1}}}
	after := Snapshot{PID: 1, Uptime: 12, Cache: Cache{Fetched: 5 << 20, Hits: 9, Misses: 7}, Uploads: []Upload{{Draft: "a", Sent: 6 << 20}, {Draft: "b", Sent: 2 << 20}, {Draft: "new", Sent: 4 << 20}}}
	other := after
	other.PID = 2
	for _, tc := range []struct {
		name          string
		before, after Snapshot
		want          string
	}{
		{"between two", before, after, "now       2.0 MiB/s from the service, 4.0 MiB/s to it, 3 blocks read a second\n"},
		{"the first", Snapshot{}, after, "now       0 B/s from the service, 0 B/s to it, 0 blocks read a second\n"},
		{"another daemon", other, after, "now       0 B/s from the service, 0 B/s to it, 0 blocks read a second\n"},
		{"no time", after, after, "now       0 B/s from the service, 0 B/s to it, 0 blocks read a second\n"},
	} {
		var b strings.Builder
		if tc.after.WriteNow(&b, tc.before); b.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, b.String(), tc.want)
		}
	}
}
