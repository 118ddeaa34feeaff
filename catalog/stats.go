package catalog

import "time"

// counts are running totals. Catalog.mu guards them.
type counts struct {
	refreshes uint64
	deltas    uint64
	lookups   uint64
	failures  uint64
}

// Stats is a snapshot for status and metrics.
type Stats struct {
	Images    int       // known: all of the listing, or only what was looked up, and what the first has brought
	Complete  bool      // a whole listing is known, of whatever age
	Drafts    int       // shown
	Listed    time.Time // when the refresh in use began; zero before the first
	Passed    time.Time // when the last reading of the whole listing began
	Took      time.Duration
	DeltaTook time.Duration // how long the last request for changes took
	Refreshes uint64        // readings of the whole listing begun
	Deltas    uint64        // requests for what was changed
	Lookups   uint64        // names and ids asked for
	Failures  uint64        // of all three
	// Away is since when the service has not answered and the last listing is
	// shown; zero while it answers. Warning says so in one sentence, else "".
	Away    time.Time
	Warning string
}

// Stats returns a snapshot.
func (c *Catalog) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Images: c.dir.len(), Complete: c.complete(), Drafts: len(c.drafts),
		Listed: c.listed.at, Passed: c.passed.at, Took: c.took, DeltaTook: c.deltaTook,
		Refreshes: c.counts.refreshes, Deltas: c.counts.deltas, Lookups: c.counts.lookups, Failures: c.counts.failures,
	}
	if c.outage != nil {
		s.Away = c.outage.since
		s.Warning = "the Image service does not answer: " + c.outage.err.Error()
		if c.complete() {
			s.Warning += "; shown is the listing of " + c.listed.at.UTC().Format(time.RFC3339)
		}
	}
	return s
}
