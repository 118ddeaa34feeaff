package cache

import "slices"

// queue holds fetches that wait for a place. The images take turns, so that one
// with many fetches does not starve another; within an image the order is that of
// arrival. It has no lock: Cache.mu guards it.
type queue struct {
	lanes []*lane // one for each image that has a fetch here; the first is next
	len   int     // fetches in all lanes
}

// lane is one image's part of a queue.
type lane struct {
	of      *contents
	fetches []*fetch // at least one
}

// push adds the fetch behind the others of its image.
func (q *queue) push(f *fetch) {
	q.len++
	for _, l := range q.lanes {
		if l.of == f.of {
			l.fetches = append(l.fetches, f)
			return
		}
	}
	q.lanes = append(q.lanes, &lane{of: f.of, fetches: []*fetch{f}})
}

// pushFront adds the fetch before the others of its image.
func (q *queue) pushFront(f *fetch) {
	q.push(f)
	for _, l := range q.lanes {
		if l.of == f.of {
			last := len(l.fetches) - 1
			copy(l.fetches[1:], l.fetches[:last])
			l.fetches[0] = f
		}
	}
}

// pop removes and returns the next fetch; nil when there is none.
func (q *queue) pop() *fetch {
	if q.len == 0 {
		return nil
	}
	q.len--
	l := q.lanes[0]
	f := l.fetches[0]
	l.fetches = slices.Delete(l.fetches, 0, 1)
	q.lanes = slices.Delete(q.lanes, 0, 1)
	if len(l.fetches) > 0 {
		q.lanes = append(q.lanes, l)
	}
	return f
}

// remove takes out a fetch, wherever it stands.
func (q *queue) remove(f *fetch) {
	for i, l := range q.lanes {
		if l.of != f.of {
			continue
		}
		at := slices.Index(l.fetches, f)
		if at < 0 {
			return
		}
		q.len--
		l.fetches = slices.Delete(l.fetches, at, at+1)
		if len(l.fetches) == 0 {
			q.lanes = slices.Delete(q.lanes, i, i+1)
		}
		return
	}
}
