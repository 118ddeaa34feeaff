package main

import (
	"time"

	"github.com/imagefs/imagefs/commit"
)

// endurance decides when the end of a mount has waited long enough for its uploads.
// After a signal that is after a limit; after an unmount it is when nothing has
// moved for that limit: an upload that goes on is worth waiting for, a service that
// is away is not. What is left goes on at the next mount.
type endurance struct {
	limit time.Duration
	total bool // whatever moves
	since time.Time
	left  int64            // drafts that had not ended when something moved last
	sent  map[string]int64 // the most bytes of each draft that one try has sent
}

func newEndurance(limit time.Duration, total bool, now time.Time) *endurance {
	return &endurance{limit: limit, total: total, since: now, left: -1, sent: map[string]int64{}}
}

// spent reports whether it is over. left is how many drafts have not ended.
func (p *endurance) spent(now time.Time, active []commit.Progress, left int64) bool {
	if !p.total && p.moved(active, left) {
		p.since = now
	}
	return now.Sub(p.since) >= p.limit
}

// moved reports whether anything has come nearer to its end since it was asked last.
// What the service does after the last byte does not show, and is bounded by itself.
func (p *endurance) moved(active []commit.Progress, left int64) bool {
	moved := left != p.left
	p.left = left
	for _, a := range active {
		moved = moved || a.Phase == commit.Checking || a.Phase == commit.Publishing
		if a.Sent > p.sent[a.Draft] {
			p.sent[a.Draft], moved = a.Sent, true
		}
	}
	return moved
}
