package catalog

import (
	"context"
	"time"

	"github.com/imagefs/imagefs/image"
)

// negativeTTL is how long the absence of a name is believed: long enough for the
// several probes that one command makes for one file (shells, cp, O_CREAT after
// a lookup), short enough that an image made elsewhere shows nearly at once.
const negativeTTL = time.Second

// lookupBound ends a lookup, which holds the kernel's lock of the directory.
const lookupBound = 10 * time.Second

// plan is what must be known to say what an entry stands for.
type plan struct {
	bases   []string // groups; if the entry's own (the first, where own is set) has images, it alone decides
	own     bool
	listing bool // only the whole listing can tell
}

// planOf makes the plan of an entry. An entry that no image can have has an
// empty one.
func planOf(entry string) plan {
	var p plan
	if len(entry) > maxEntry {
		return p
	}
	s, stem, id, ext := shapeOf(entry)
	if s == numbered || s != plain && len(entry) >= cutLen {
		p.listing = true
		return p
	}
	if _, err := ImageName(entry); err == nil {
		p.bases, p.own = append(p.bases, entry), true
	}
	base := stem + ext
	if s == plain || form(base, id) != entry {
		return p
	}
	if _, err := ImageName(base); err != nil {
		return p
	}
	p.bases = append(p.bases, base)
	// It has the whole form only if the short one is taken, which may be by name.
	taken := shortForm(base, id)
	if _, err := ImageName(taken); s == whole && err == nil {
		p.bases = append(p.bases, taken)
	}
	return p
}

// Lookup returns what the entry stands for: the same as the listing would say.
// An entry without suffix costs one request, or none while the listing is
// younger than the TTL or the same was asked within the TTL (a missing one:
// within a second). The error is of kind NotFound, or says why nobody knows.
// For a draft no request is made.
func (c *Catalog) Lookup(ctx context.Context, entry string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupBound)
	defer cancel()
	p := planOf(entry)
	asked := map[string]bool{} // what was asked for this lookup is not too old for it; "" is the listing
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if o := c.drafts[entry]; o != nil {
			e := c.remembered(entry)
			e.Draft = o.draft
			return e, nil
		}
		base, missing := c.missing(p, asked)
		if !missing {
			break
		}
		if c.believed() {
			c.probe()
			return c.lastKnown(entry)
		}
		var err error
		asked[base] = true
		if e := c.remembered(entry); p.listing && e.Image.ID() != "" && c.deltaless() && c.took > promptPass {
			c.refreshBehind()
			return e, nil
		} else if p.listing {
			err = c.current(ctx, "lookup", true)
		} else {
			r := c.askGroup(base)
			c.walked()
			c.mu.Unlock()
			err = c.wait(ctx, r)
			c.mu.Lock()
			if err == nil && r.unclear {
				p.listing = true
			}
		}
		if err != nil {
			if c.believed() && ctx.Err() == nil {
				return c.lastKnown(entry)
			}
			return Entry{}, wrap("lookup", entry, err)
		}
	}
	if e := c.remembered(entry); e.Image.ID() != "" {
		return e, nil
	}
	return Entry{}, notFound("lookup", entry)
}

// remembered returns what is known for the entry without asking.
func (c *Catalog) remembered(entry string) Entry {
	e := Entry{Name: entry}
	if r := c.dir.at(entry); r != nil {
		e.Image = r.packed()
	}
	return e
}

// lastKnown answers from the last listing while the service is away. What is
// not in it may exist by now: that is an error, not an absence.
func (c *Catalog) lastKnown(entry string) (Entry, error) {
	if e := c.remembered(entry); e.Image.ID() != "" {
		return e, nil
	}
	return Entry{}, wrap("lookup", entry, c.outage.err)
}

// missing returns the next group that must be asked for, "" for the listing, and
// whether there is one. The caller holds mu.
func (c *Catalog) missing(p plan, asked map[string]bool) (string, bool) {
	if p.listing {
		return "", !asked[""] && !c.young(c.listed, c.ttl)
	}
	for i, base := range p.bases {
		if !asked[base] && !c.fresh(base) {
			return base, true
		}
		if i == 0 && p.own && c.dir.has(base) {
			return "", false
		}
	}
	return "", false
}

// fresh reports whether a group is known well enough. The caller holds mu.
func (c *Catalog) fresh(base string) bool {
	s, ok := c.known.Get(base)
	if ok && s.at.IsZero() && s.seq > c.passed.seq { // in doubt: a delta does not show deletions
		return false
	}
	if ok && s.seq > c.listed.seq {
		if !c.dir.has(base) {
			return c.young(s, min(c.ttl, negativeTTL))
		}
		return c.young(s, c.ttl) || c.passing(base)
	}
	return c.young(c.listed, c.ttl) && (!c.partial || c.dir.has(base)) || c.passing(base)
}

// passing reports whether the first pass has brought the image that has a plain entry, as
// far as can be told before its end: one of ours, for those come by the time of their
// creation and go before all others. That is believed where somebody walks over the
// directory while it is listed: else each name would cost a request more. The caller
// holds mu.
func (c *Catalog) passing(base string) bool {
	if c.pass == nil || c.complete() || c.walk < walkLen || !c.young(c.pass.began, c.ttl) {
		return false
	}
	r := c.dir.groups.head(base)
	return r != nil && r.seen >= c.pass.began.seq && rankOf(r.rec, c.project) == rankOurs
}

func (c *Catalog) young(s since, limit time.Duration) bool {
	return s.seq != 0 && time.Since(s.at) < limit
}

// askGroup joins or begins the request for all images of one base entry. The
// caller holds mu.
func (c *Catalog) askGroup(base string) *request {
	if r := c.asking[base]; r != nil {
		if s, ok := c.known.Peek(base); !ok || !s.at.IsZero() || s.seq < r.seq {
			return r
		} // its answer may be from before the doubt
	}
	r := &request{done: make(chan struct{})}
	c.asking[base] = r
	began := c.begin()
	r.seq = began.seq
	c.counts.lookups++
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, lookupBound)
		defer cancel()
		images, unclear, err := c.fetchGroup(ctx, base)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.answered()
			if !unclear {
				c.askMoved(base, c.mergeGroup(base, images, began))
			}
		} else {
			c.failed(err)
		}
		c.end(began)
		if c.asking[base] == r {
			delete(c.asking, base)
		}
		r.unclear, r.err = unclear, err
		close(r.done)
	})
	return r
}

// fetchGroup asks for the images whose base entry is base: those of its name,
// byte for byte, and the nameless one whose id it is.
func (c *Catalog) fetchGroup(ctx context.Context, base string) (images []image.Image, unclear bool, err error) {
	name, err := ImageName(base)
	if err != nil { // plans hold only entries that have a name
		return nil, false, err
	}
	_, err = c.lister.ListImages(ctx, Query{Name: &name}, func(page []image.Image) error {
		for _, img := range page {
			if img.Name == name {
				images = append(images, img)
			}
		}
		return ctx.Err()
	})
	if err != nil || !isUUID(base) {
		return images, false, err
	}
	img, err := c.records.Get(ctx, base)
	switch {
	case image.Is(err, image.NotFound):
		return images, false, nil
	case err != nil || img.Name != "" || !c.filter.Shows(&img, c.project):
		return images, false, err
	case surelyListed(img, c.project):
		return append(images, img), false, nil
	default:
		return images, true, nil
	}
}

// mergeGroup makes what a lookup brought known, and returns what it has taken away. The
// caller holds mu.
func (c *Catalog) mergeGroup(base string, images []image.Image, began since) (lost []string) {
	if began.seq < c.passed.seq {
		return nil // the listing that came meanwhile began later
	}
	touched := map[string]bool{}
	here := make(map[string]bool, len(images))
	for _, img := range images {
		here[img.ID] = true
		c.take(img, began, touched).mark(began)
	}
	for _, id := range c.groupIDs(base) {
		if !here[id] && c.dir.get(id).seen < began.seq {
			c.leave(id, began, touched)
			lost = append(lost, id)
		}
	}
	if s, ok := c.known.Peek(base); !ok || s.seq < began.seq {
		c.known.Add(base, began)
	}
	c.stale.add(touched)
	delete(touched, base) // who asked for it gets the answer
	c.notify.add(touched)
	return lost
}

func (c *Catalog) groupIDs(base string) []string {
	ids := make([]string, 0, len(c.dir.group(base)))
	for _, r := range c.dir.group(base) {
		ids = append(ids, r.id())
	}
	return ids
}

// evictGroup forgets the images of a group that falls out of known, so that a
// directory without a listing stays small. The caller holds mu.
func (c *Catalog) evictGroup(base string, _ since) {
	if c.complete() || c.pass != nil { // a pass removes what it does not see
		return
	}
	for _, id := range c.groupIDs(base) {
		c.dir.remove(id, nil)
	}
}
