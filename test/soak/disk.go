package main

import (
	"time"
)

// diskSpace, in bytes, is the size of the disk that staging and the cache lie on.
const diskSpace = 1 << 30

// fillDisk leaves no room on the disk for a while.
func (s *soak) fillDisk() error {
	return s.disk.Fill(s.ctx, 2*time.Second+s.upTo(4*time.Second))
}

const (
	// mendBound is how long a program may have to try again, once the disk has room and the
	// requests meet no faults: the service may have asked for a pause, and a circuit that
	// is open closes with its next probe.
	mendBound = time.Minute
	mendEvery = 250 * time.Millisecond
)

// mend does what its user does after a program has failed for want of room: it makes the
// file once more, or removes it, and tries again if that fails.
func (w *worker) mend(f *file) {
	removes := w.prefix == diskPrefix || w.random.IntN(2) == 0
	for end := time.Now().Add(mendBound); !w.soak.ended(); w.soak.sleep(mendEvery) {
		if removes {
			w.remove(f)
		} else {
			s := holding(w.fresh(editMost))
			w.wrote(f, s, w.run("cp", w.write("from", s.data), w.path(f)).ok)
			f.property = append(f.property, "")
		}
		if _, ok := f.now(); ok {
			return
		}
		if time.Now().After(end) {
			w.soak.fail("there is room again, and %s can be neither made nor removed", f.name)
			return
		}
	}
}
