package staging

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"
)

// Allocate is fallocate(2) with its modes 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE,
// ZERO_RANGE and ZERO_RANGE|KEEP_SIZE; others are kind Unsupported. Over a base
// a hole is zeros that are stored as a hole of the data file. Where the
// filesystem of the staging directory cannot punch or zero, zeros are written;
// where it cannot reserve room, kind Unsupported tells the caller so.
func (d *Draft) Allocate(ctx context.Context, mode uint32, off, size int64) error {
	return fail("allocate draft", d.name(), d.allocate(ctx, mode, off, size))
}

func (d *Draft) allocate(ctx context.Context, mode uint32, off, size int64) error {
	if off < 0 || size <= 0 || off > maxOffset-size {
		return syscall.EINVAL
	}
	switch mode {
	case 0, unix.FALLOC_FL_KEEP_SIZE,
		unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
		unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE:
	default:
		return syscall.EOPNOTSUPP
	}
	if err := d.enter(ctx, gateWidth); err != nil {
		return err
	}
	defer d.gate.Release(gateWidth)
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 {
		return d.zero(ctx, mode, off, off+size)
	}
	return d.reserve(mode, off, size)
}

// reserve makes room on disk. Bytes do not change: over a base the room lies in
// the data file unused, and no extent says otherwise.
func (d *Draft) reserve(mode uint32, off, size int64) error {
	err := fallocate(d.file, mode, off, size)
	// A failed one may have extended the file by a part.
	return d.resize(err)
}

// zero makes [off, end) read as zeros.
func (d *Draft) zero(ctx context.Context, mode uint32, off, end int64) error {
	was := d.Size()
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && end > was {
		if err := d.file.Truncate(end); err != nil {
			return err
		}
		if err := d.resize(nil); err != nil {
			return err
		}
	}
	visible := min(end, d.Size())
	err := fallocate(d.file, mode|unix.FALLOC_FL_KEEP_SIZE, off, end-off)
	if errIsUnsupported(err) && mode&unix.FALLOC_FL_ZERO_RANGE != 0 {
		err = fallocate(d.file, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, end-off)
	}
	if errIsUnsupported(err) {
		return d.writeZeros(ctx, off, visible)
	}
	if off >= visible {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.localLocked(off, visible)
		d.refused.written(off, visible)
	}
	d.touchLocked() // also after an error: nobody says how far it got
	return err
}

// zeroChunk, in bytes, is what writeZeros writes at once, looking at ctx between.
const zeroChunk = 1 << 20

func (d *Draft) writeZeros(ctx context.Context, off, end int64) error {
	if off >= end {
		return nil
	}
	zeros := make([]byte, min(zeroChunk, end-off))
	for off < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.writeFile(zeros[:min(int64(len(zeros)), end-off)], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// resize takes over the data file's length after a change that may have extended
// it, and joins err with what that finds.
func (d *Draft) resize(err error) error {
	size, _, statErr := measure(d.file)
	if statErr != nil {
		if err == nil {
			err = statErr
		}
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if size != d.size {
		d.size = size
		d.touchLocked()
	}
	return err
}
