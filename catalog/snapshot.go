package catalog

import (
	"cmp"
	"context"
	"slices"
)

// snapshot is a complete listing at one moment: the images by the time of their
// creation, then by id, as the service lists them, then the drafts of new files by
// entry. All readers share it until something changes; what they then get has most
// of its runs in common with it. So a reader that pauses keeps its place, and many of
// them, each with a snapshot of its own, cost little. Nothing in it changes but the
// records, which are what is known of the image, or was known last.
type snapshot struct {
	c      *Catalog
	runs   [][]item
	ends   []int // how many items there are up to the end of each run
	drafts []Entry
}

// A run begins at each image whose id says so, one of 256, wherever that is in the
// listing: so what comes or goes changes one or two runs and not all that follow.
// maxRun is for clouds with ids of one kind.
const (
	meanRun = 256
	maxRun  = 4 * meanRun
)

// snapshotNow returns what dir and drafts are now. The caller holds mu.
func (c *Catalog) snapshotNow() *snapshot {
	if c.shown == nil || c.changed {
		c.shown, c.changed = c.snapshot(c.shown), false
	}
	return c.shown
}

func (c *Catalog) snapshot(before *snapshot) *snapshot {
	s := &snapshot{c: c}
	known := map[item][]item{} // runs by their first item
	if before != nil {
		for _, run := range before.runs {
			known[run[0]] = run
		}
	}
	items := c.inOrder()
	for total := 0; len(items) > 0; {
		n := runLen(items)
		run := known[items[0]]
		if slices.Equal(run, items[:n]) {
			copy(run, items) // the same names, but in the memory of what the records are now
		} else {
			run = slices.Clone(items[:n])
		}
		total += n
		s.runs, s.ends = append(s.runs, run), append(s.ends, total)
		items = items[n:]
	}
	for name, o := range c.drafts {
		if c.dir.at(name) == nil {
			s.drafts = append(s.drafts, Entry{Name: name, Draft: o.draft})
		}
	}
	sortByName(s.drafts)
	return s
}

// inOrder returns all images in the order of a listing.
func (c *Catalog) inOrder() []item {
	type key struct {
		created int64
		row     *record
	}
	keys := make([]key, 0, c.dir.len())
	for r := range c.dir.all() {
		keys = append(keys, key{r.created(), r})
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.created != b.created {
			return cmp.Compare(a.created, b.created)
		}
		return a.row.uuid().Compare(b.row.uuid())
	})
	items := make([]item, len(keys))
	for i, k := range keys {
		items[i] = item{k.row.entry(), k.row}
	}
	return items
}

// runLen returns how many of the items, which begin with a run, are in it.
func runLen(items []item) int {
	n := 1
	for n < len(items) && n < maxRun && items[n].row.idByte() != 0 {
		n++
	}
	return n
}

// at returns one entry, at once.
func (s *snapshot) at(_ context.Context, i int) (Entry, bool, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if it, ok := s.item(i); ok {
		return s.c.shownItem(it), true, nil
	}
	if i -= s.images(); i < len(s.drafts) {
		return s.c.shownDraft(s.drafts[i]), true, nil
	}
	return Entry{}, false, nil
}

func (s *snapshot) ready(int) bool { return true }

// images is how many there are.
func (s *snapshot) images() int {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// item returns the image with index i; ok is false where there is none.
func (s *snapshot) item(i int) (it item, ok bool) {
	k, _ := slices.BinarySearch(s.ends, i+1)
	if k == len(s.ends) {
		return item{}, false
	}
	run := s.runs[k]
	return run[i-(s.ends[k]-len(run))], true
}

// byID is a snapshot in which each image shows under its id.
type byID struct{ *snapshot }

func (s byID) at(_ context.Context, i int) (Entry, bool, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	it, ok := s.item(i)
	if !ok {
		return Entry{}, false, nil
	}
	return Entry{Name: it.row.id(), Image: it.row.packed()}, true, nil
}

// idByte is the last byte of the id, which is as good as drawn.
func (r *record) idByte() byte {
	id := r.uuid().Bytes()
	return id[len(id)-1]
}
