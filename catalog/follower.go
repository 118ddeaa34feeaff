package catalog

import (
	"context"
	"sort"
)

// follower is one reader of a stream. It leaves out what has gone since it was given
// out, so that who begins to read after a change of ours does not see what was before.
// What it has shown keeps its index. Catalog.mu guards it.
type follower struct {
	s    *stream
	next int    // how many items of the stream it has come to
	out  []int  // those of them that it has left out
	late []item // at the end: what it left out and is there again by then
	done bool   // late is final
}

func (f *follower) at(ctx context.Context, i int) (Entry, bool, error) {
	c := f.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if e, ok := f.entry(i); ok {
			return e, true, nil
		}
		if f.s.ended {
			return Entry{}, false, wrap("list", "", f.s.err)
		}
		more := f.s.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if err := ctx.Err(); err != nil {
			return Entry{}, false, wrap("list", "", err)
		}
	}
}

func (f *follower) ready(i int) bool {
	f.s.c.mu.Lock()
	defer f.s.c.mu.Unlock()
	_, ok := f.entry(i)
	return ok || f.s.ended
}

func (f *follower) still(e Entry) bool {
	f.s.c.mu.Lock()
	defer f.s.c.mu.Unlock()
	if f.s.byID {
		return f.s.find(e.Name) != nil
	}
	return f.s.c.still(e)
}

// entry returns the entry with index i, if it has come.
func (f *follower) entry(i int) (Entry, bool) {
	c, items := f.s.c, f.s.items
	for ; f.next < len(items) && i >= f.next-len(f.out); f.next++ {
		if !f.s.shows(items[f.next].name) {
			f.out = append(f.out, f.next)
		}
	}
	if i < f.next-len(f.out) {
		// Before the item with index k there are as many left out as of those with
		// out[n]-n <= i.
		k := i + sort.Search(len(f.out), func(n int) bool { return f.out[n]-n > i })
		return f.now(items[k]), true
	}
	if !f.s.ended {
		return Entry{}, false
	}
	f.end()
	if i -= f.next - len(f.out); i < len(f.late) {
		return f.now(f.late[i]), true
	}
	if i -= len(f.late); i < len(f.s.drafts) {
		return c.shownDraft(f.s.drafts[i]), true
	}
	return Entry{}, false
}

// end finds what was left out and is there again.
func (f *follower) end() {
	if f.done {
		return
	}
	f.done = true
	for _, n := range f.out {
		if it := f.s.items[n]; f.s.shows(it.name) {
			f.late = append(f.late, it)
		}
	}
}

// now returns the item with the image that has its entry by now, if there is one.
func (f *follower) now(it item) Entry {
	if r := f.s.find(it.name); r != nil {
		it.row = r
	}
	if f.s.byID {
		return Entry{Name: it.name, Image: it.row.packed()}
	}
	return f.s.c.shownItem(it)
}
