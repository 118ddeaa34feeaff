package metrics

import (
	"fmt"
	"strings"
)

// WriteNow writes what has moved since an earlier snapshot of the same daemon, as one line
// in the form of WriteText. Between two daemons nothing has.
func (s Snapshot) WriteNow(b *strings.Builder, before Snapshot) {
	elapsed := s.Uptime - before.Uptime
	if s.PID != before.PID || elapsed <= 0 {
		before, elapsed = s, 1
	}
	rate := func(n int64) string { return bytes(int64(float64(max(n, 0))/elapsed)) + "/s" }
	fmt.Fprintf(b, "%-10s%s from the service, %s to it, %s\n", "now",
		rate(s.Cache.Fetched-before.Cache.Fetched), rate(s.sentSince(before)),
		count(int(float64(s.asked()-before.asked())/elapsed), "block read a second", "blocks read a second"))
}

func (s Snapshot) asked() int64 { return s.Cache.Hits + s.Cache.Misses }

// sentSince is what the uploads under way have sent since then, in bytes. One that was tried
// again begins at 0.
func (s Snapshot) sentSince(before Snapshot) int64 {
	earlier := make(map[string]int64, len(before.Uploads))
	for _, u := range before.Uploads {
		earlier[u.Draft] = u.Sent
	}
	var sent int64
	for _, u := range s.Uploads {
		if was := earlier[u.Draft]; u.Sent >= was {
			sent += u.Sent - was
		} else {
			sent += u.Sent
		}
	}
	return sent
}
