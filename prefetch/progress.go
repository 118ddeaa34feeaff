package prefetch

// progress is where a stream stands. It is pure: no lock, no clock.
type progress struct {
	pos  int64 // index of the block that the stream brings next
	near int64 // furthest block read or waited for near the stream; -1 none yet
	turn int64 // while somebody needs a block behind the stream: how far it goes before it begins again
}

// verdict is what a stream does next.
type verdict int

const (
	goOn  verdict = iota // read the next block
	pause                // stop reading until somebody needs more
	end                  // end here: to begin again, for somebody needs what is behind
)

// decide says what a stream does next, for those who wait and a lead of so many
// blocks.
//
// The stream goes on while somebody waits for a block ahead, and by the lead beyond
// the furthest that was read near it. When somebody needs a block that it has passed,
// it first serves all who wait ahead at that moment and goes a quarter of its way
// further while there is work: reading the same bytes again then costs a bounded
// multiple of what it brings, and who waits behind waits a bounded time, however
// many come ahead.
func (g *progress) decide(waiters []*waiter, lead int64) verdict {
	behind, nearest, furthest := false, int64(-1), int64(-1)
	for _, w := range waiters {
		for _, index := range w.need {
			if index < g.pos {
				behind = true
				continue
			}
			if nearest < 0 || index < nearest {
				nearest = index
			}
			furthest = max(furthest, index)
		}
	}
	if !behind {
		g.turn = 0
	} else if g.turn == 0 {
		g.turn = max(furthest+1, g.pos+g.pos/4, 1)
	}
	within := func(index int64) bool { return !behind || index < g.turn }
	switch {
	case nearest >= 0 && within(nearest):
		return goOn
	case g.pos <= g.near+lead && within(g.pos):
		return goOn
	case behind:
		return end
	default:
		return pause
	}
}

// touch notes that a block was read, and reports whether the stream may go further
// for it. A read far ahead of the stream is served from what an earlier stream
// brought and pulls nothing.
func (g *progress) touch(index, lead int64) bool {
	if index <= g.near || index > g.pos+lead {
		return false
	}
	g.near = index
	return true
}
