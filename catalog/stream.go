package catalog

import (
	"cmp"
	"slices"
)

// stream is a listing that is not complete yet: what the first pass has brought so
// far, for any number of readers. It gives out a base entry with the first image of
// it (some image will have that entry; which one is seen when it is read), and at
// the end of the pass the entries with a suffix and the drafts. So it gives out every
// entry, none twice, however entries move while the pass goes on. One by id gives out
// each image as it comes. Catalog.mu guards it.
type stream struct {
	c      *Catalog
	byID   bool // entries are the ids of the images, and there are no drafts
	items  []item
	drafts []Entry             // after the items: at the end only
	given  map[string]struct{} // the entries of items; nil at the end
	more   chan struct{}       // closed, and replaced, when there are more entries, or the end
	ended  bool
	err    error // what the pass failed with
}

// item is one entry and the image that it stood for when it was listed. The record
// stays what is known of the image, or was known last.
type item struct {
	name string
	row  *record
}

func newStream(c *Catalog, byID bool) *stream {
	return &stream{c: c, byID: byID, given: map[string]struct{}{}, more: make(chan struct{})}
}

// find returns the record that has an entry, nil for none.
func (s *stream) find(entry string) *record {
	if s.byID {
		return s.c.dir.get(entry)
	}
	return s.c.dir.at(entry)
}

// shows reports whether an entry stands for anything.
func (s *stream) shows(entry string) bool {
	return s.find(entry) != nil || !s.byID && s.c.drafts[entry] != nil
}

// arrived gives out what a page has brought, if it is new.
func (s *stream) arrived(r *record) {
	if s.byID {
		s.give(r.id(), r)
	} else {
		s.give(r.base(), r)
	}
}

func (s *stream) give(entry string, r *record) {
	if _, given := s.given[entry]; !given {
		s.given[entry] = struct{}{}
		s.items = append(s.items, item{entry, r})
	}
}

// wake tells the readers that there is more.
func (s *stream) wake() {
	close(s.more)
	s.more = make(chan struct{})
}

// end gives out what is left, or the error.
func (s *stream) end(err error) {
	if err == nil {
		s.giveRest()
	}
	s.err, s.ended, s.given = err, true, nil
	s.wake()
}

func (s *stream) giveRest() {
	var rest []item
	for r := range s.c.dir.all() {
		entry := r.entry()
		if s.byID {
			entry = r.id()
		}
		if _, given := s.given[entry]; !given {
			rest = append(rest, item{entry, r})
		}
	}
	slices.SortFunc(rest, func(a, b item) int { return cmp.Compare(a.name, b.name) })
	s.items = append(s.items, rest...)
	if s.byID {
		return
	}
	for _, o := range s.c.drafts {
		if _, given := s.given[o.entry]; !given && s.c.dir.at(o.entry) == nil {
			s.drafts = append(s.drafts, Entry{Name: o.entry, Draft: o.draft})
		}
	}
	sortByName(s.drafts)
}

func sortByName(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
}
