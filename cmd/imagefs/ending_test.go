package main

import (
	"testing"
	"time"

	"github.com/imagefs/imagefs/commit"
)

// What an ending mount waits for: after an unmount for everything that moves, after a
// signal for the limit.
func TestEndurance(t *testing.T) {
	const limit = time.Minute
	sending := func(sent int64) []commit.Progress {
		return []commit.Progress{{Draft: "d", Phase: commit.Uploading, Sent: sent, Size: 9}}
	}
	reading := func(read int64) []commit.Progress {
		return []commit.Progress{{Draft: "d", Phase: commit.Preparing, Read: read, Size: 9}}
	}
	type look struct {
		after  time.Duration // the look before
		active []commit.Progress
		left   int64
		spent  bool
	}
	for what, c := range map[string]struct {
		total bool
		looks []look
	}{
		"an upload that goes on": {false, []look{
			{limit - 1, sending(1), 1, false}, {limit - 1, sending(2), 1, false}, {limit - 1, sending(3), 1, false},
		}},
		"an upload that stands": {false, []look{{1, sending(1), 1, false}, {limit, sending(1), 1, true}}},
		"one that begins anew and gets no further": {false, []look{
			{1, sending(5), 1, false}, {limit / 2, sending(1), 1, false}, {limit / 2, sending(4), 1, true},
		}},
		"one that reads the image under it": {false, []look{
			{limit - 1, reading(1), 1, false}, {limit - 1, reading(20), 1, false}, {limit - 1, sending(1), 1, false}, {limit, sending(1), 1, true},
		}},
		"one that reads that again, and gets no further": {false, []look{{1, reading(5), 1, false}, {limit / 2, reading(1), 1, false}, {limit / 2, reading(5), 1, true}}},
		"one that is being stored":                       {false, []look{{1, sending(9), 1, false}, {limit, sending(9), 1, false}, {limit, sending(9), 1, false}}},
		"one that is stored in vain": {false, []look{
			{1, sending(9), 1, false}, {limit, sending(9), 1, false}, {limit / 2, sending(1), 1, false}, {limit / 2, sending(9), 1, true},
		}},
		"nothing under way":    {false, []look{{1, nil, 2, false}, {limit, nil, 2, true}}},
		"one that has ended":   {false, []look{{1, nil, 2, false}, {limit, nil, 1, false}, {limit - 1, nil, 1, false}, {1, nil, 1, true}}},
		"one that is checked":  {false, []look{{1, nil, 1, false}, {limit, []commit.Progress{{Draft: "d", Phase: commit.Checking}}, 1, false}}},
		"a signal":             {true, []look{{limit - 1, sending(1), 1, false}, {1, sending(2), 1, true}}},
		"a service that fails": {false, []look{{1, nil, 1, false}, {limit / 2, []commit.Progress{{Draft: "d", Phase: commit.Preparing}}, 1, false}, {limit / 2, nil, 1, true}}},
	} {
		now := time.Unix(0, 0)
		p := newEndurance(limit, c.total, now)
		for i, l := range c.looks {
			now = now.Add(l.after)
			if got := p.spent(now, l.active, l.left); got != l.spent {
				t.Errorf("%s: look %d says %v", what, i+1, got)
			}
		}
	}
}
