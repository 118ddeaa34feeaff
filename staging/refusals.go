package staging

import (
	"fmt"
	"slices"
)

// refusals are the bytes that writers were refused and nobody has written since: a
// program that closes its file after ENOSPC, as cp does, has not written what it
// wanted to. The zero value is none.
type refusals struct {
	ranges []extent // in no order
	cause  error    // of the first
}

// maxRefused bounds the list: a program that goes on after so many refusals is told of
// all between the first and the last.
const maxRefused = 1024

func (r *refusals) add(off, end int64, cause error) {
	if len(r.ranges) == 0 {
		r.cause = cause
	}
	if r.ranges = append(r.ranges, extent{off, end}); len(r.ranges) <= maxRefused {
		return
	}
	all := r.ranges[0]
	for _, x := range r.ranges {
		all.off, all.end = min(all.off, x.off), max(all.end, x.end)
	}
	r.ranges = append(r.ranges[:0], all)
}

// written takes [off, end) out: a try of it has succeeded, or it was cut off.
func (r *refusals) written(off, end int64) {
	if len(r.ranges) == 0 {
		return
	}
	var left []extent
	for _, x := range r.ranges {
		for _, rest := range []extent{{x.off, min(x.end, off)}, {max(x.off, end), x.end}} {
			if rest.off < rest.end {
				left = append(left, rest)
			}
		}
	}
	r.ranges = slices.Clip(left)
}

// missesFrom reports whether bytes at off or behind it are among them.
func (r *refusals) missesFrom(off int64) bool {
	return slices.ContainsFunc(r.ranges, func(x extent) bool { return x.end > off })
}

// err is why nothing may be committed; nil where everything was written.
func (r *refusals) err() error {
	if len(r.ranges) == 0 {
		return nil
	}
	return fmt.Errorf("bytes are missing, for a write was refused: %w", r.cause)
}
