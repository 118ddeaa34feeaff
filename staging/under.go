package staging

import (
	"context"
	"slices"
)

// Shown is how many bytes of the image under the draft, from its first, may show: 0
// where all of them were written over or cut off.
func (s *Snapshot) Shown() int64 {
	d := s.draft
	d.mu.Lock()
	defer d.mu.Unlock()
	if first := d.segmentLocked(0); first.local && first.end >= d.layer.limit {
		return 0
	}
	return d.layer.limit
}

// ReadBase fills p with the bytes of the image under the draft at off, also with those
// that were written over or cut off. ctx ends the wait for them.
func (s *Snapshot) ReadBase(ctx context.Context, p []byte, off int64) error {
	d := s.draft
	d.mu.Lock()
	base := d.base.hold()
	d.mu.Unlock()
	err := base.read(ctx, p, off)
	d.drop(base)
	return fail("read base", d.name(), err)
}

// Overlay puts what was written over p, which has what ReadBase gives at off, and anything
// behind that: then p has what ReadAt gives. Before it changes p it calls begin.
func (s *Snapshot) Overlay(p []byte, off int64, begin func()) error {
	d := s.draft
	d.mu.Lock()
	var few [fewSegments]segment
	plan := d.segmentsLocked(few[:0], off, off+int64(len(p)))
	d.mu.Unlock()
	if slices.ContainsFunc(plan, func(s segment) bool { return s.local }) {
		begin()
	}
	at := off
	for _, next := range plan {
		if next.local {
			if err := d.readLocal(p[at-off:next.end-off], at); err != nil {
				return fail("read draft", d.name(), err)
			}
		}
		at = next.end
	}
	return nil
}
