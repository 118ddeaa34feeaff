package metrics

import (
	"fmt"
	"io"
	"strings"
)

// WriteWatch writes the snapshot as WriteText does, but first what moves, for a terminal may
// be short; before is an earlier one. columns are those of the terminal: there, what moves
// has two lines, so that its figures stand still below each other. 0: it goes to no terminal.
func (s Snapshot) WriteWatch(w io.Writer, before Snapshot, columns int) error {
	var b lines
	s.writeNow(&b, before)
	s.writeTrouble(&b)
	if columns > 0 {
		s.writeMovingInColumns(&b, columns)
	} else {
		s.writeMoving(&b)
	}
	s.writeMount(&b)
	s.writeState(&b)
	s.writeDrafts(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMovingInColumns writes as writeMoving does, the name of each on a line of its own.
func (s Snapshot) writeMovingInColumns(b *lines, columns int) {
	s.writeWriting(b)
	width := min(max(columns-besideBar, barWidth), widestBar)
	for _, u := range s.Uploads {
		b.line("upload", "%s%s", u.Name, u.doing())
		b.line("", "%s %s", bar(u.Sent, u.Size, width), figures(u.Sent, u.Size, u.Seconds))
	}
	for _, t := range s.Transfers {
		b.line(t.Kind, "%s%s", t.Name, t.doing())
		b.line("", "%s %s", bar(t.Done, t.Size, width), figures(t.Done, t.Size, t.Seconds))
	}
	s.writeWaiting(b)
}

const (
	// besideBar, in characters, is what a line has beside its bar: the first column, the
	// brackets, a blank, and figures of full width.
	besideBar = 10 + 2 + 1 + 51
	widestBar = 40 // characters: a longer one says no more
)

// figures are those of progress, each in its column: as wide as the longest, 1023 MiB.
func figures(done, size int64, elapsed float64) string {
	part := int64(0)
	if size > 0 {
		part = done * 100 / size
	}
	rate, left := pace(done, size, elapsed)
	return strings.TrimRight(fmt.Sprintf("%3d%%  %8s of %-8s  %10s  %11s", part, bytes(done), bytes(size), rate, left), " ")
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
