package catalog

import (
	"context"
	"slices"
)

// snapshot is a complete listing at one moment: the images by the time of their
// creation, then by id, as the service lists them, then the drafts of new files by
// entry. All readers share it until something changes; what they then get has all runs
// but a few in common with it. So a reader that pauses keeps its place, and many of
// them, each with a snapshot of its own, cost little. Nothing in it changes but the
// records, which are what is known of the image, or was known last.
type snapshot struct {
	c      *Catalog
	runs   []run
	ends   []int // how many items there are up to the end of each run
	drafts []Entry
}

// stale is what no longer is as the snapshot that was made last has it.
type stale struct {
	entries map[string]struct{} // what they stand for, or what is known of it
	drafts  bool
	all     bool // more entries than are worth telling
}

// maxStale is how many entries may change until a snapshot is made from the beginning:
// that is 0.1 s for 100,000 images, and a change in each of their runs costs as much.
const maxStale = 256

// add notes touched entries.
func (s *stale) add(touched map[string]bool) {
	if s.all || len(touched) == 0 {
		return
	}
	if len(s.entries)+len(touched) > maxStale {
		s.entries, s.all = nil, true
		return
	}
	if s.entries == nil {
		s.entries = map[string]struct{}{}
	}
	for entry := range touched {
		s.entries[entry] = struct{}{}
	}
}

// snapshotNow returns what dir and drafts are now. The caller holds mu.
func (c *Catalog) snapshotNow() *snapshot {
	before, stale := c.shown, c.stale
	if before != nil && !stale.all && !stale.drafts && len(stale.entries) == 0 {
		return before
	}
	s := &snapshot{c: c}
	switch {
	case before == nil || stale.all:
		s.runs = cutRuns(c.inOrder())
	case len(stale.entries) > 0:
		s.runs = c.edited(before.runs, stale.entries)
	default:
		s.runs = before.runs
	}
	total := 0
	for _, r := range s.runs {
		total += len(r)
		s.ends = append(s.ends, total)
	}
	for name, o := range c.drafts {
		if c.dir.at(name) == nil {
			s.drafts = append(s.drafts, Entry{Name: name, Draft: o.draft})
		}
	}
	sortByName(s.drafts)
	c.shown, c.stale.entries, c.stale.drafts, c.stale.all = s, nil, false, false
	return s
}

// inOrder returns all images in the order of a listing.
func (c *Catalog) inOrder() []placed {
	all := make([]placed, 0, c.dir.len())
	for r := range c.dir.all() {
		all = append(all, placeOf(r.entry(), r))
	}
	slices.SortFunc(all, placed.compare)
	return all
}

// edited returns the runs with what the entries stand for by now.
func (c *Catalog) edited(runs []run, entries map[string]struct{}) []run {
	var fresh []placed
	for entry := range entries {
		if r := c.dir.at(entry); r != nil {
			fresh = append(fresh, placeOf(entry, r))
		}
	}
	slices.SortFunc(fresh, placed.compare)
	edited := make([]run, 0, len(runs)+1)
	for k, r := range runs {
		here := len(fresh) // those that come before the next run
		if k+1 < len(runs) {
			next := placeOf(runs[k+1][0].name, runs[k+1][0].row)
			here, _ = slices.BinarySearchFunc(fresh, next, placed.compare)
		}
		if gone := r.has(entries); !gone && here == 0 {
			edited = append(edited, r)
			continue
		}
		edited = r.edit(edited, entries, fresh[:here])
		fresh = fresh[here:]
	}
	if len(runs) == 0 {
		edited = cutRuns(fresh)
	}
	return edited
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

func (s *snapshot) still(e Entry) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.still(e)
}

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

func (s byID) still(e Entry) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.dir.get(e.Name) != nil
}
