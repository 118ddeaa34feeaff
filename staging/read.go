package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"syscall"
)

// ReadAt has the semantics of io.ReaderAt: fewer bytes than len(p) come with an
// error, io.EOF at the draft's size. It does not wait for writers or a commit; ctx
// ends the wait for the base.
func (d *Draft) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := d.read(ctx, p, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, fail("read draft", d.name(), err)
}

// segment is a run of bytes that all come from one place.
type segment struct {
	end   int64
	local bool // from the data file, else from the base
}

// segmentLocked returns the segment that begins at off.
func (d *Draft) segmentLocked(off int64) segment {
	if off >= d.layer.limit {
		return segment{end: math.MaxInt64, local: true}
	}
	in, end := d.layer.ext.at(off)
	if !in || end < d.layer.limit {
		return segment{end: min(end, d.layer.limit), local: in}
	}
	return segment{end: math.MaxInt64, local: true} // runs on into what is all local
}

// fewSegments are enough for most reads: no allocation.
const fewSegments = 8

// segmentsLocked appends the segments of [off, end) to plan.
func (d *Draft) segmentsLocked(plan []segment, off, end int64) []segment {
	for at := off; at < end; {
		s := d.segmentLocked(at)
		s.end = min(s.end, end)
		plan = append(plan, s)
		at = s.end
	}
	return plan
}

func (d *Draft) read(ctx context.Context, p []byte, off int64) (int, error) {
	d.mu.Lock()
	switch {
	case d.closed:
		d.mu.Unlock()
		return 0, os.ErrClosed
	case off < 0:
		d.mu.Unlock()
		return 0, syscall.EINVAL
	case off >= d.size:
		d.mu.Unlock()
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	var eof error
	if left := d.size - off; int64(len(p)) > left {
		p, eof = p[:left], io.EOF
	}
	var few [fewSegments]segment
	plan := d.segmentsLocked(few[:0], off, off+int64(len(p)))
	var base *heldBase
	if slices.ContainsFunc(plan, func(s segment) bool { return !s.local }) {
		base = d.base.hold()
	}
	d.mu.Unlock()

	at := off
	var err error
	for _, s := range plan {
		part := p[at-off : s.end-off]
		if s.local {
			err = d.readLocal(part, at)
		} else {
			err = base.read(ctx, part, at)
		}
		if err != nil {
			break
		}
		at = s.end
	}
	d.drop(base)
	if err == nil {
		err = eof
	}
	return int(at - off), err
}

// readLocal fills p from the data file; what a truncation took meanwhile is
// zeros. Of a draft that stands still nothing is taken but by others: then a file that
// is too short has lost bytes.
func (d *Draft) readLocal(p []byte, off int64) error {
	n, err := d.file.ReadAt(p, off)
	switch {
	case errors.Is(err, io.EOF) && d.lacks(off+int64(len(p))):
		return fmt.Errorf("%s ends early: %w", d.file.Name(), io.ErrUnexpectedEOF)
	case errors.Is(err, io.EOF):
		clear(p[n:])
		return nil
	}
	return err
}

// lacks reports whether bytes before end are missing that no writer has cut off: the draft
// stands still, and has them, or had them until its end.
func (d *Draft) lacks(end int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen && (d.closed || end <= d.size)
}
