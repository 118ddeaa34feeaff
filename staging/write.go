package staging

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// gateWidth is the whole of a draft's gate; each writer takes one of it, so that
// at most so many write at once: more than a kernel has requests.
const gateWidth = 1 << 20

// enter waits, obeying ctx, until the caller may change the draft: with weight 1
// beside other writers, with gateWidth alone. A commit's Snapshot holds the gate
// alone. The semaphore is fair: a stream of writers cannot starve a commit.
func (d *Draft) enter(ctx context.Context, weight int64) error {
	// Acquire asks ctx for Done even where it need not wait, which costs a kernel
	// request a goroutine. TryAcquire is as fair: it fails where somebody waits.
	if ctx.Err() != nil || !d.gate.TryAcquire(weight) {
		if err := d.gate.Acquire(ctx, weight); err != nil {
			return err
		}
	}
	if err := d.reopen(); err != nil {
		d.gate.Release(weight)
		return err
	}
	return nil
}

// reopen journals StateOpen before the first change after a commit, or after a
// Reopen: a crash must not find a journal that says that the service, or the disk,
// has these bytes.
func (d *Draft) reopen() error {
	d.mu.Lock()
	open, closed := d.rec.State == StateOpen && !d.rec.Closed, d.closed
	d.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	if open {
		return nil
	}
	return d.rewrite(func(r *Record) bool {
		if r.State == StateOpen && !d.Record().Closed {
			return false // another writer was faster
		}
		if r.State == StateCommitted && r.Image != "" {
			r.Replaces, r.Image = r.Image, "" // what the next commit retires
		}
		r.State, r.Reason, r.Accepted, r.Unsure, r.Whole = StateOpen, "", false, false, ""
		return true
	}, nil)
}

// WriteAt has the semantics of io.WriterAt. It waits, obeying ctx, while a commit
// reads the draft. A full disk is kind LocalFull; the first n bytes were written. What
// was refused and is not written later, or cut off, keeps the draft from being
// committed: BeginCommit and Accept fail with the cause.
func (d *Draft) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off > maxOffset-int64(len(p)) {
		return 0, fail("write draft", d.name(), syscall.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := d.tryWrite(ctx, p, off)
	if err != nil {
		err = fail("write draft", d.name(), err)
		d.mu.Lock()
		d.refused.add(off+int64(n), off+int64(len(p)), err)
		d.mu.Unlock()
	}
	return n, err
}

func (d *Draft) tryWrite(ctx context.Context, p []byte, off int64) (int, error) {
	if err := d.enter(ctx, 1); err != nil {
		return 0, err
	}
	defer d.gate.Release(1)
	return d.writeFile(p, off)
}

// writeFile writes to the data file and notes what it has now. The bytes come
// before the extent: a read in between must find the base, not a hole.
func (d *Draft) writeFile(p []byte, off int64) (int, error) {
	n, err := pwrite(d.file, p, off)
	if n > 0 {
		d.mu.Lock()
		d.localLocked(off, off+int64(n))
		d.refused.written(off, off+int64(n))
		d.size = max(d.size, off+int64(n))
		d.touchLocked()
		d.mu.Unlock()
	}
	return n, err
}

// localLocked notes that [off, end) is to be read from the data file.
func (d *Draft) localLocked(off, end int64) {
	if d.layer.ext.add(off, min(end, d.layer.limit)) {
		d.changes++
	}
}

// cutLocked notes that nothing of the base shows from size on.
func (d *Draft) cutLocked(size int64) {
	if size < d.layer.limit {
		d.layer.ext.cut(size)
		d.layer.limit = size
		d.changes++
	}
}

// touchLocked notes that the draft has changed.
func (d *Draft) touchLocked() {
	d.touches++
	d.dirty = true
	d.written = d.written || d.size > 0
	d.mod = d.store.now().UTC()
	d.staleMod = d.rec.Attributes.ModTime
}

// Truncate sets the size. What lies beyond it is gone: a later, larger size
// shows zeros there. The size that the draft has already changes nothing.
func (d *Draft) Truncate(ctx context.Context, size int64) error {
	return fail("truncate draft", d.name(), d.truncate(ctx, size))
}

func (d *Draft) truncate(ctx context.Context, size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if err := d.gate.Acquire(ctx, gateWidth); err != nil {
		return err
	}
	defer d.gate.Release(gateWidth)
	d.mu.Lock()
	same, closed := d.size == size, d.closed
	if same {
		d.refused.written(size, math.MaxInt64)
	}
	d.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	if same {
		return nil
	}
	if err := d.reopen(); err != nil {
		return err
	}
	if err := d.file.Truncate(size); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutLocked(size)
	d.size = size
	d.refused.written(size, math.MaxInt64)
	d.touchLocked()
	return nil
}

// Sync fsyncs the data and then, over a base where it changed, journals the
// layer: what was written before Sync survives a power failure. ctx is looked at
// only before the work: an fsync cannot be interrupted.
func (d *Draft) Sync(ctx context.Context) error {
	name, closed := d.nameClosed()
	err := ctx.Err()
	if closed {
		err = os.ErrClosed
	}
	if err == nil {
		err = d.sync(nil)
	}
	return fail("sync draft", name, err)
}

// sync is Sync, and journals change (nil for none) with it.
//
// After an fsync that has failed the kernel takes the bytes for written, and may have
// dropped them: the next fsync would succeed. So no other is asked for, nothing of
// the draft is committed in this process, and the journal says Uncertain.
func (d *Draft) sync(change func(*Record)) error {
	d.mu.Lock()
	lost := d.lost
	// Copied before the fsync: it promises nothing that is not on disk after it.
	stale := d.journaled != d.changes
	now, touches := (*synced)(nil), d.touches
	if stale || change != nil {
		now = d.layerLocked()
	}
	d.mu.Unlock()
	if lost == nil {
		lost = d.store.sync(d.file)
	}
	if lost != nil {
		return d.lose(lost, change)
	}
	d.mu.Lock()
	d.fsynced = max(d.fsynced, touches)
	d.mu.Unlock()
	if change == nil && !stale {
		return nil
	}
	return d.rewrite(func(r *Record) bool {
		if change != nil {
			change(r)
		}
		return true
	}, now)
}

// lose notes that the disk has not taken what was written, once that is known.
func (d *Draft) lose(err error, change func(*Record)) error {
	if errors.Is(err, os.ErrClosed) {
		return err
	}
	d.mu.Lock()
	d.lost = err
	d.mu.Unlock()
	return errors.Join(lostBytes(err), d.rewrite(func(r *Record) bool {
		if change != nil && d.isClosed() { // nobody is promised anything
			change(r)
		}
		return true
	}, nil))
}

// lostBytes says that the disk has failed.
func lostBytes(err error) error {
	return fmt.Errorf("bytes may be lost, for the local disk has failed to take them: %w", err)
}

// errIsUnsupported recognises a filesystem that cannot do a fallocate mode.
func errIsUnsupported(err error) bool {
	return errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS)
}
