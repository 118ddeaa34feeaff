package catalog

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// run is some items of a snapshot that follow each other, in order, at least one. It
// never changes: snapshots share it.
type run []item

// A run begins at each image whose id says so, one of 256, wherever that is in the
// listing, and ends before the next: so what comes or goes changes one run and not all
// that follow. maxRun is for clouds with ids of one kind.
const maxRun = 1024

// placed is an item and what puts it in its place, told once and not in each comparison.
type placed struct {
	item
	created int64
	front   uint64 // of the id
}

func placeOf(entry string, r *record) placed {
	id := r.uuid().Bytes()
	return placed{item: item{entry, r}, created: r.created(), front: binary.BigEndian.Uint64(id[:])}
}

func (p placed) compare(q placed) int {
	switch {
	case p.created != q.created:
		return cmp.Compare(p.created, q.created)
	case p.front != q.front:
		return cmp.Compare(p.front, q.front)
	default:
		return p.row.uuid().Compare(q.row.uuid())
	}
}

// begins reports whether a run begins here. The factor spreads ids that are not drawn.
func (p placed) begins() bool { return p.front*0x9e3779b97f4a7c15>>56 == 0 }

// cutRuns divides what is in order.
func cutRuns(all []placed) []run {
	var runs []run
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < maxRun && !all[n].begins() {
			n++
		}
		r := make(run, n)
		for i := range r {
			r[i] = all[i].item
		}
		runs = append(runs, r)
		all = all[n:]
	}
	return runs
}

// has reports whether any of the entries is in the run.
func (r run) has(entries map[string]struct{}) bool {
	for _, it := range r {
		if _, ok := entries[it.name]; ok {
			return true
		}
	}
	return false
}

// edit appends the run to those before it, without some entries and with what is fresh,
// which is in order and in its place there.
func (r run) edit(before []run, entries map[string]struct{}, fresh []placed) []run {
	all := make([]placed, 0, len(r)+len(fresh))
	for _, it := range r {
		if _, gone := entries[it.name]; !gone {
			all = append(all, placeOf(it.name, it.row))
		}
	}
	all = append(all, fresh...)
	slices.SortFunc(all, placed.compare)
	if n := len(before); n > 0 && len(all) > 0 && !all[0].begins() && len(before[n-1])+len(all) <= maxRun {
		joined := make([]placed, 0, len(before[n-1])+len(all))
		for _, it := range before[n-1] {
			joined = append(joined, placeOf(it.name, it.row))
		}
		before, all = before[:n-1], append(joined, all...)
	}
	return append(before, cutRuns(all)...)
}
