package catalog

import (
	"hash/maphash"
	"slices"
)

// lines hold the records that want an entry, for each entry in the order in which they
// come into question: the first gets it, if any does.
type lines struct {
	want  func(*record) string // the entry that a record wants
	order func(*record) order
	seed  maphash.Seed
	first table               // the first of each line, by the entry
	whole map[*record]*inline // by its first, each line of two or more
}

// inline is a line of two or more, the first included, in order and in parts, none of
// them empty: so who comes or leaves moves few others, however long it is.
type inline struct{ parts [][]*record }

// longestPart is where a part is divided: moving half a kilobyte costs less than finding
// the place.
const longestPart = 64

func newLines(want func(*record) string, order func(*record) order, seed maphash.Seed) lines {
	return lines{
		want: want, order: order, seed: seed,
		first: table{hash: func(r *record) uint64 { return maphash.String(seed, want(r)) }},
		whole: map[*record]*inline{},
	}
}

// head returns the first who wants the entry, nil if nobody does.
func (l *lines) head(entry string) *record {
	return l.first.find(maphash.String(l.seed, entry), func(r *record) bool { return l.want(r) == entry })
}

// all returns who wants the entry, in order.
func (l *lines) all(entry string) []*record {
	first := l.head(entry)
	switch {
	case first == nil:
		return nil
	case l.whole[first] == nil:
		return []*record{first}
	default:
		return slices.Concat(l.whole[first].parts...)
	}
}

// add puts r into its line, and returns who was the first of it, nil for none, and
// whether r is now.
func (l *lines) add(r *record) (was *record, first bool) {
	entry := l.want(r)
	was = l.head(entry)
	if was == nil {
		l.first.add(maphash.String(l.seed, entry), r)
		return nil, true
	}
	line := l.whole[was]
	if line == nil {
		line = &inline{[][]*record{{was}}}
	}
	first = line.add(r, l.order)
	if first {
		l.first.replace(maphash.String(l.seed, entry), was, r)
		delete(l.whole, was)
		l.whole[r] = line
	} else {
		l.whole[was] = line
	}
	return was, first
}

// remove takes r out of its line, and returns who is the first of it now, nil for none,
// and whether r was.
func (l *lines) remove(r *record) (now *record, first bool) {
	entry := l.want(r)
	hash := maphash.String(l.seed, entry)
	was := l.head(entry)
	line := l.whole[was]
	if line == nil {
		l.first.remove(hash, r)
		return nil, true
	}
	line.remove(r, l.order)
	now = line.parts[0][0]
	delete(l.whole, was)
	if len(line.parts) > 1 || len(line.parts[0]) > 1 {
		l.whole[now] = line
	}
	if now != was {
		l.first.replace(hash, was, now)
	}
	return now, now != was
}

// find returns where r, whose place by order is o, stands or would stand.
func (l *inline) find(o order, of func(*record) order) (part, at int) {
	compare := func(r *record, o order) int { return of(r).compare(o) }
	part, _ = slices.BinarySearchFunc(l.parts, o, func(p []*record, o order) int { return compare(p[len(p)-1], o) })
	part = min(part, len(l.parts)-1)
	at, _ = slices.BinarySearchFunc(l.parts[part], o, compare)
	return part, at
}

// add returns whether r is the first.
func (l *inline) add(r *record, of func(*record) order) bool {
	i, at := l.find(of(r), of)
	part := slices.Insert(l.parts[i], at, r)
	l.parts[i] = part
	if n := len(part); n > longestPart {
		half := n / 2
		if at == n-1 { // they come in order: leave the parts behind full
			half = n - 1
		}
		l.parts = slices.Insert(l.parts, i+1, slices.Clone(part[half:]))
		clear(part[half:])
		l.parts[i] = part[:half:half]
	}
	return i == 0 && at == 0
}

func (l *inline) remove(r *record, of func(*record) order) {
	i, at := l.find(of(r), of)
	if l.parts[i] = slices.Delete(l.parts[i], at, at+1); len(l.parts[i]) == 0 {
		l.parts = slices.Delete(l.parts, i, i+1)
	}
}
