package metrics

import "io"

// WriteWatch writes the snapshot as WriteText does, but first what moves, for a terminal may
// be short; before is an earlier one.
func (s Snapshot) WriteWatch(w io.Writer, before Snapshot) error {
	var b lines
	s.writeNow(&b, before)
	s.writeTrouble(&b)
	s.writeMoving(&b)
	s.writeMount(&b)
	s.writeState(&b)
	s.writeDrafts(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeNow writes what has moved since an earlier snapshot of the same daemon, as one line
// in the form of WriteText. Between two daemons nothing has.
func (s Snapshot) writeNow(b *lines, before Snapshot) {
	elapsed := s.Uptime - before.Uptime
	if s.PID != before.PID || elapsed <= 0 {
		before, elapsed = s, 1
	}
	rate := func(n int64) string { return bytes(int64(float64(max(n, 0))/elapsed)) + "/s" }
	b.line("now", "%s from the service, %s to it, %s",
		rate(s.Cache.Fetched-before.Cache.Fetched), rate(s.Commits.Sent-before.Commits.Sent),
		count(int(float64(s.asked()-before.asked())/elapsed), "block read a second", "blocks read a second"))
}

func (s Snapshot) asked() int64 { return s.Cache.Hits + s.Cache.Misses }
