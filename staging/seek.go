package staging

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SeekData is lseek(2) with SEEK_DATA: the first offset from off on that may
// hold other bytes than zeros; false when there is none up to the draft's size
// (ENXIO). What shows of a base counts as data.
func (d *Draft) SeekData(off int64) (int64, bool, error) {
	pos, ok, err := d.seek(off, unix.SEEK_DATA)
	return pos, ok, fail("seek data in draft", d.name(), err)
}

// SeekHole is lseek(2) with SEEK_HOLE: the first offset from off on where a hole
// is, at most the draft's size; false when off is not below the size (ENXIO).
func (d *Draft) SeekHole(off int64) (int64, bool, error) {
	pos, ok, err := d.seek(off, unix.SEEK_HOLE)
	return pos, ok, fail("seek hole in draft", d.name(), err)
}

func (d *Draft) seek(off int64, whence int) (int64, bool, error) {
	if off < 0 {
		return 0, false, nil
	}
	for at := off; ; {
		d.mu.Lock()
		size, closed := d.size, d.closed
		s := d.segmentLocked(at)
		d.mu.Unlock()
		switch {
		case closed:
			return 0, false, os.ErrClosed
		case off >= size:
			return 0, false, nil
		case at >= size:
			return size, whence == unix.SEEK_HOLE, nil
		case s.local:
			pos, err := d.file.Seek(at, whence) // nothing uses the file's own offset
			switch {
			case errors.Is(err, syscall.ENXIO): // no data up to the end
			case err != nil:
				return 0, false, err
			case pos < min(s.end, size):
				return pos, true, nil
			}
		case whence == unix.SEEK_DATA:
			return at, true, nil
		}
		at = s.end
	}
}
