package metrics

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A terminal of 12 lines shows what moves, and what is in the way.
func TestWatchBeginsWithWhatMoves(t *testing.T) {
	var b strings.Builder
	if err := busy().WriteWatch(&b, Snapshot{}, 0); err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(b.String()) {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
	want := "now trouble trouble trouble writing upload upload warm spool verify waiting waiting"
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

// A terminal of 80 columns has the figures of what moves whole, each in its place, whatever the names are.
func TestWatchOnTerminal(t *testing.T) {
	s := Snapshot{
		Writing: []Writing{{Name: "next.raw", Size: 3 << 20}},
		Uploads: []Upload{
			{Name: strings.Repeat("long-", 20) + ".raw", Phase: "uploading", Sent: 633 << 20, Size: 2 << 30, Seconds: 10},
			{Name: "sent.raw", Phase: "uploading", Sent: 2 << 30, Size: 2 << 30, Seconds: 10},
			{Name: "new.raw", Phase: "uploading", Sent: 0, Size: 2 << 30},
		},
		Transfers: []Transfer{{Kind: TransferSpool, Name: "slow.raw", Done: 1023 << 20, Size: 1 << 60, Seconds: 1023, Paused: true}},
	}
	var b strings.Builder
	if err := s.WriteWatch(&b, Snapshot{}, 80); err != nil {
		t.Fatal(err)
	}
	all := strings.Split(b.String(), "\n")
	want := []string{
		"writing   next.raw: 3.0 MiB so far",
		"upload    " + strings.Repeat("long-", 20) + ".raw",
		"          [####............]  30%   633 MiB of 2.0 GiB     63 MiB/s     22s left",
		"upload    sent.raw, waiting for the answer",
		"          [################] 100%   2.0 GiB of 2.0 GiB    205 MiB/s",
		"upload    new.raw",
		"          [................]   0%       0 B of 2.0 GiB",
		"spool     slow.raw, paused",
		"          [................]   0%  1023 MiB of 1.0 EiB    1.0 MiB/s",
	}
	if diff := cmp.Diff(want, all[1:10]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, wide := range []int{1, 80, 200} {
		b.Reset()
		if err := s.WriteWatch(&b, Snapshot{}, wide); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "[") && len(line) > max(wide, besideBar+barWidth)+1 {
				t.Errorf("in %d columns: %q", wide, line)
			}
		}
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
