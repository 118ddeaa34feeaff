package staging

import (
	"errors"
	"math"
	"slices"
)

// extent is the byte interval [off, end).
type extent struct{ off, end int64 }

// maxRun is the most extents in one run: inserting moves at most this many (8
// KiB). In one slice a million random 4 KiB writes would move 8 TB.
const maxRun = 512

// extents is a set of bytes as sorted extents that neither overlap nor touch, cut
// into runs, none empty. The zero value is the empty set. An extent costs 16
// bytes, up to twice that in runs that are half full.
type extents struct{ runs [][]extent }

// find returns the run and the index in it of the first extent that ends after
// off; without one the run is len(e.runs).
func (e *extents) find(off int64) (run, i int) {
	after := func(x extent, off int64) int {
		if x.end <= off {
			return -1
		}
		return 1
	}
	run, _ = slices.BinarySearchFunc(e.runs, off, func(list []extent, off int64) int { return after(list[len(list)-1], off) })
	if run < len(e.runs) {
		i, _ = slices.BinarySearchFunc(e.runs[run], off, after)
	}
	return run, i
}

// add puts [off, end) into the set and reports whether that changed it.
func (e *extents) add(off, end int64) bool {
	if off >= end {
		return false
	}
	run, i := e.find(off - 1) // also one that only touches
	if run == len(e.runs) || e.runs[run][i].off > end {
		e.insert(run, i, extent{off, end})
		return true
	}
	x := &e.runs[run][i]
	if x.off <= off && end <= x.end {
		return false
	}
	x.off, x.end = min(off, x.off), max(end, x.end)
	e.swallow(run, i)
	return true
}

func (e *extents) insert(run, i int, x extent) {
	if run == len(e.runs) { // after all others
		if run == 0 {
			e.runs = [][]extent{{x}}
			return
		}
		run--
		i = len(e.runs[run])
	}
	if list := e.runs[run]; len(list) == maxRun {
		const half = maxRun / 2
		e.runs = slices.Insert(e.runs, run+1, slices.Clone(list[half:]))
		e.runs[run] = list[:half:half]
		if i > half {
			run, i = run+1, i-half
		}
	}
	e.runs[run] = slices.Insert(e.runs[run], i, x)
}

// swallow merges into the extent at i of run those after it that it has grown to
// touch.
func (e *extents) swallow(run, i int) {
	x := &e.runs[run][i]
	// take returns how many of list touch x, which grows over them.
	take := func(list []extent) int {
		for n, next := range list {
			if next.off > x.end {
				return n
			}
			x.end = max(x.end, next.end)
		}
		return len(list)
	}
	rest := e.runs[run][i+1:]
	n := take(rest)
	whole := run + 1 // the first run after it that is not swallowed whole
	if n == len(rest) {
		for whole < len(e.runs) {
			m := take(e.runs[whole])
			if m < len(e.runs[whole]) {
				e.runs[whole] = slices.Delete(e.runs[whole], 0, m)
				break
			}
			whole++
		}
	}
	e.runs[run] = slices.Delete(e.runs[run], i+1, i+1+n)
	e.runs = slices.Delete(e.runs, run+1, whole)
}

// cut removes every byte from size on and reports whether there were any.
func (e *extents) cut(size int64) bool {
	run, i := e.find(size)
	if run == len(e.runs) {
		return false
	}
	if x := &e.runs[run][i]; x.off < size {
		x.end = size
		i++
	}
	e.runs[run] = e.runs[run][:i]
	if i > 0 {
		run++
	}
	clear(e.runs[run:]) // for the garbage collector
	e.runs = e.runs[:run]
	return true
}

// at reports whether byte off is in the set, and where that ends being so.
func (e *extents) at(off int64) (in bool, end int64) {
	run, i := e.find(off)
	if run == len(e.runs) {
		return false, math.MaxInt64
	}
	x := e.runs[run][i]
	if x.off > off {
		return false, x.off
	}
	return true, x.end
}

// count is the number of extents.
func (e *extents) count() int {
	n := 0
	for _, list := range e.runs {
		n += len(list)
	}
	return n
}

// encode writes the set as alternating gaps and lengths, which are shorter in
// text than offsets.
func (e *extents) encode() []int64 {
	out := make([]int64, 0, 2*e.count())
	at := int64(0)
	for _, list := range e.runs {
		for _, x := range list {
			out = append(out, x.off-at, x.end-x.off)
			at = x.end
		}
	}
	return out
}

var errExtents = errors.New("its list of extents is damaged")

// decodeExtents reads what encode wrote; every byte must lie below limit.
func decodeExtents(in []int64, limit int64) (extents, error) {
	if len(in)%2 != 0 {
		return extents{}, errExtents
	}
	var e extents
	at := int64(0)
	for i := 0; i < len(in); i += 2 {
		gap, length := in[i], in[i+1]
		if gap < 0 || length <= 0 || gap == 0 && i > 0 || gap > limit-at || length > limit-at-gap {
			return extents{}, errExtents
		}
		e.add(at+gap, at+gap+length)
		at += gap + length
	}
	return e, nil
}

// clone returns a copy that shares nothing.
func (e *extents) clone() extents {
	runs := slices.Clone(e.runs)
	for i, list := range runs {
		runs[i] = slices.Clone(list)
	}
	return extents{runs: runs}
}
