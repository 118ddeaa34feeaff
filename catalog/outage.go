package catalog

import (
	"errors"
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/image"
)

// outage is the time in which the service does not answer and the last listing
// is served.
type outage struct {
	since time.Time
	tried time.Time // last request that failed
	err   error
}

// retryAfter is the least time between two tries during an outage: short enough
// that its end is seen at once, long enough to be no load for a service that is
// coming back.
const retryAfter = 5 * time.Second

// away reports whether an error means that the service cannot be asked, as
// opposed to an answer of it.
func away(err error) bool {
	switch image.KindOf(err) {
	case image.Unreachable, image.Unavailable, image.Stalled, image.IdentityAway,
		image.UnexpectedAnswer, image.Untrusted, image.Other:
		return true
	default:
		return false
	}
}

// answered and failed note how a request ended. The caller holds mu.
func (c *Catalog) answered() {
	c.refused = false
	c.recovered()
}

// recovered notes that the service answers, whatever it says. The caller holds mu.
func (c *Catalog) recovered() {
	if c.outage == nil {
		return
	}
	c.log.Info("the Image service answers again", slog.Duration("outage", time.Since(c.outage.since).Round(time.Second)))
	c.outage = nil
}

func (c *Catalog) failed(err error) {
	c.counts.failures++
	if c.ctx.Err() != nil || errors.Is(err, image.ErrUnreadable) { // of one image
		return
	}
	if c.refused = !away(err); c.refused {
		return
	}
	now := time.Now()
	if c.outage != nil {
		c.outage.tried, c.outage.err = now, err
		return
	}
	c.outage = &outage{since: now, tried: now, err: err}
	if c.complete() {
		c.log.Warn("the Image service does not answer; its last listing is shown until it does",
			slog.Time("listed", c.listed.at), slog.Any("error", err))
	} else {
		c.log.Warn("the Image service does not answer and no listing is known; the next access tries again",
			slog.Any("error", err))
	}
}

// complete reports whether dir is a complete listing, of whatever age.
func (c *Catalog) complete() bool { return c.listed.seq != 0 }

// believed reports whether what is known may be served because the service is
// away. Who comes after a pause asks it again. The caller holds mu.
func (c *Catalog) believed() bool {
	return c.complete() && c.outage != nil && time.Since(c.outage.tried) < c.ttl
}

// probe tries the service again, now and then, while nobody waits for it. The
// caller holds mu, and there is an outage.
func (c *Catalog) probe() {
	if time.Since(c.outage.tried) >= retryAfter {
		c.outage.tried = time.Now()
		c.refresh()
	}
}
