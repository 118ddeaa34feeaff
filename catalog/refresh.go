package catalog

import (
	"context"
	"time"
)

// tooOld is after how many TTLs a listing is no longer shown while a new one is
// made: then List waits.
const tooOld = 10

// refreshBound ends a refresh that no longer makes sense: 100,000 images take a
// real service about 45 s, and who makes no progress is ended by the client.
const refreshBound = 10 * time.Minute

// current makes dir a listing that may be shown; fresh asks for one younger than the
// TTL. The caller holds mu, which is let go while waiting.
func (c *Catalog) current(ctx context.Context, op string, fresh bool) error {
	age := time.Since(c.listed.at)
	if c.complete() && age < c.ttl {
		return nil
	}
	if c.believed() {
		c.probe()
		return nil
	}
	if c.complete() && !fresh && age < tooOld*c.ttl && !c.refused {
		c.refreshBehind()
		return nil
	}
	for {
		if c.resting() && !c.refused {
			return nil
		}
		r := c.refresh()
		c.mu.Unlock()
		err := c.wait(ctx, r)
		c.mu.Lock()
		switch {
		case err == nil && r.unclear: // the pass tells, or nothing does before it is due
		case err != nil && c.complete() && c.outage != nil && ctx.Err() == nil:
			return nil // however short the TTL: it was asked just now
		default:
			return wrap(op, "", err)
		}
	}
}

// refresh begins what brings the listing up to date, or joins it, and returns what to
// wait for: a pass over the whole listing where one is due or under way and is not
// long, or nothing else helps, else what was changed since the last refresh. The caller
// holds mu.
func (c *Catalog) refresh() *request {
	if !c.complete() {
		return &c.beginPass().request
	}
	deltaless := c.deltaless()
	if c.passDue() || deltaless && c.refused {
		c.beginPass()
	}
	if p := c.pass; p != nil && (deltaless || c.took <= promptPass && time.Since(p.began.at) <= promptPass) {
		return &p.request
	}
	return c.beginDelta()
}

// passDue reports whether it is time for a pass, and none is under way. The caller holds
// mu.
func (c *Catalog) passDue() bool {
	return c.pass == nil && passDue(time.Since(c.tried), max(c.took, c.wasted), c.ttl)
}

// resting reports whether nothing newer than the listing is to be had for now: the
// service does not tell what was changed, and no pass is due. The caller holds mu.
func (c *Catalog) resting() bool {
	return c.complete() && c.deltaless() && c.pass == nil && !c.passDue()
}

// refreshBehind is refresh for whom nobody waits: what costs much is not done without
// a pause. The caller holds mu.
func (c *Catalog) refreshBehind() {
	if !c.resting() && c.delta == nil && deltaDue(time.Since(c.asked), c.deltaTook) {
		c.refresh()
	}
}

// walked notes that a lookup has to ask. Who asks for one name after the other walks over
// the directory: then a listing that is known is refreshed, for that is less than a
// request for each name, and one that comes for the first time is believed as far as it
// has come (see passing). The caller holds mu.
func (c *Catalog) walked() {
	if c.believed() {
		return
	}
	if c.walk++; c.walk >= walkLen && c.complete() {
		c.refreshBehind()
	}
}
