package catalog

import "iter"

// table is a set of records that are found by a key which each record tells itself. A
// map would hold the keys, and take four times the memory. The caller hashes keys with a
// seed of its own, so that nobody can choose names or ids that collide.
//
// It is open addressing with linear probing. A tag of each place spares most looks at
// records that are not meant.
type table struct {
	hash    func(*record) uint64 // of the key of a record that is in the table
	tags    []uint8              // of each place: vacant, left, or some bits of the hash
	records []*record            // of each place; nil where there is none
	n       int                  // records
	taken   int                  // places that are not vacant
}

// What tags say of a place without a record. Where one left, the search goes on.
const (
	vacant = iota
	left
	firstTag
)

// A table grows by half when 7 of 8 places are taken: 9 bytes each, 12 for a record on
// average. 8 places are the fewest.
const (
	fullOf8   = 7
	fewPlaces = 8
)

func tagOf(hash uint64) uint8 { return max(uint8(hash), firstTag) }

// start is the place where the search for a hash begins, in a table that has places.
func (t *table) start(hash uint64) int {
	return int(hash >> 32 * uint64(len(t.tags)) >> 32)
}

func (t *table) next(at int) int {
	if at++; at == len(t.tags) {
		return 0
	}
	return at
}

// place returns where the record is that is meant, -1 if it is not there.
func (t *table) place(hash uint64, meant func(*record) bool) int {
	if t.n == 0 {
		return -1
	}
	tag := tagOf(hash)
	for at := t.start(hash); t.tags[at] != vacant; at = t.next(at) {
		if t.tags[at] == tag && meant(t.records[at]) {
			return at
		}
	}
	return -1
}

// find returns the record that is meant, nil if it is not there.
func (t *table) find(hash uint64, meant func(*record) bool) *record {
	if at := t.place(hash, meant); at >= 0 {
		return t.records[at]
	}
	return nil
}

// add adds a record that is not there.
func (t *table) add(hash uint64, r *record) {
	if (t.taken+1)*8 > len(t.tags)*fullOf8 {
		t.resize()
	}
	at := t.start(hash)
	for t.tags[at] >= firstTag {
		at = t.next(at)
	}
	if t.tags[at] == vacant {
		t.taken++
	}
	t.tags[at], t.records[at] = tagOf(hash), r
	t.n++
}

// resize makes room for half as many records more than there are, in new slices: who
// walks the old ones goes on with them.
func (t *table) resize() {
	records, places := t.records, max(fewPlaces, (t.n+1)*8/fullOf8*3/2)
	t.tags, t.records, t.n, t.taken = make([]uint8, places), make([]*record, places), 0, 0
	for _, r := range records {
		if r != nil {
			t.add(t.hash(r), r)
		}
	}
}

// replace puts a record of the same key into the place of another that is there.
func (t *table) replace(hash uint64, old, r *record) {
	t.records[t.place(hash, func(other *record) bool { return other == old })] = r
}

// remove takes a record away that is there.
func (t *table) remove(hash uint64, r *record) {
	at := t.place(hash, func(other *record) bool { return other == r })
	t.tags[at], t.records[at] = left, nil
	t.n--
	if t.tags[t.next(at)] == vacant { // no search goes on from here
		for ; t.tags[at] == left; at = (at + len(t.tags) - 1) % len(t.tags) {
			t.tags[at] = vacant
			t.taken--
		}
	}
}

// all yields every record, in no order. Records may be removed meanwhile; whether one
// that is added is yielded is not said.
func (t *table) all() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for _, r := range t.records {
			if r != nil && !yield(r) {
				return
			}
		}
	}
}
