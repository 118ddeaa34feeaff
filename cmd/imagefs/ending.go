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
	read  map[string]int64 // as much of the bytes that one try has read beside
	whole map[string]bool  // drafts that were sent whole; false: in vain, and that counts no more
}

func newEndurance(limit time.Duration, total bool, now time.Time) *endurance {
	return &endurance{limit: limit, total: total, since: now, left: -1, sent: map[string]int64{}, read: map[string]int64{}, whole: map[string]bool{}}
}

// spent reports whether it is over. left is how many drafts have not ended.
func (p *endurance) spent(now time.Time, active []commit.Progress, left int64) bool {
	if !p.total && p.moved(active, left) {
		p.since = now
	}
	return now.Sub(p.since) >= p.limit
}

// moved reports whether anything has come nearer to its end since it was asked last.
// What the service does after the last byte (it stores or imports the image) does not
// show, and is bounded by itself: it counts, but once for each draft.
func (p *endurance) moved(active []commit.Progress, left int64) bool {
	moved := left != p.left
	p.left = left
	for _, a := range active {
		moved = moved || a.Phase == commit.Checking || a.Phase == commit.Publishing
		counts, known := p.whole[a.Draft]
		switch whole := a.Phase == commit.Uploading && a.Size > 0 && a.Sent == a.Size; {
		case whole && !known:
			p.whole[a.Draft], moved = true, true
		case whole:
			moved = moved || counts
		case known && a.Phase != commit.Checking && a.Phase != commit.Publishing:
			p.whole[a.Draft] = false
		}
		if a.Sent > p.sent[a.Draft] {
			p.sent[a.Draft], moved = a.Sent, true
		}
		if a.Read > p.read[a.Draft] {
			p.read[a.Draft], moved = a.Read, true
		}
	}
	return moved
}
