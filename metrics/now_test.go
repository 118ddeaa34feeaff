package metrics

import (
	"strings"
	"testing"
)

// A terminal of 12 lines shows what moves, and what is in the way.
func TestWatchBeginsWithWhatMoves(t *testing.T) {
	var b strings.Builder
	if err := busy().WriteWatch(&b, Snapshot{}); err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(b.String()) {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
	want := "now trouble trouble trouble upload upload warm spool verify waiting waiting mount"
	if got := strings.Join(words[:12], " "); got != want {
		t.Errorf("it begins with %s, want %s", got, want)
	}
	var all strings.Builder
	if err := busy().WriteText(&all); err != nil {
		t.Fatal(err)
	}
	if got := len(words) - 1; got != strings.Count(all.String(), "\n") {
		t.Errorf("%d lines beside now, and WriteText has %d", got, strings.Count(all.String(), "\n"))
	}
}

func TestWriteNow(t *testing.T) {
	before := Snapshot{PID: 1, Uptime: 10, Cache: Cache{Fetched: 1 << 20, Hits: 5, Misses: 5}, Commits: Commits{Sent: 5 << 20}}
	after := Snapshot{PID: 1, Uptime: 12, Cache: Cache{Fetched: 5 << 20, Hits: 9, Misses: 7}, Commits: Commits{Sent: 13 << 20}}
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
		var b lines
		if tc.after.writeNow(&b, tc.before); b.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, b.String(), tc.want)
		}
	}
}
