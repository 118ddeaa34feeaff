package staging

import (
	"errors"
	"os"
)

// Unlink says that the draft's entry was removed: it will not be committed, and
// a restart does not bring it back. Its handles go on until the last one calls
// Discard. A draft that no commit had begun loses its journal at once, which
// needs no room on a full disk; otherwise the journal keeps the image's id for
// whoever has to clean up after a crash. On an error the draft counts as
// unlinked in this process only.
func (d *Draft) Unlink() error {
	d.mu.Lock()
	name, closed := d.rec.Name, d.closed
	d.unlinked = true
	d.mu.Unlock()
	if closed {
		return fail("unlink draft", name, os.ErrClosed)
	}
	remembered := false
	err := d.rewrite(func(r *Record) bool {
		remembered = r.Image != ""
		return remembered
	}, nil)
	if err == nil && !remembered {
		err = d.retire()
	}
	return fail("unlink draft", name, err)
}

// retire makes the journal a marker that the data may be removed: see doc.go. When it
// returns nil, no loss of power brings a draft back of which something would be made.
func (d *Draft) retire() error {
	d.journal.Lock()
	defer d.journal.Unlock()
	if d.removed {
		return nil
	}
	if err := d.store.disk.rename(d.id+journalSuffix, d.id+goneSuffix); err != nil {
		return err
	}
	d.removed = true
	if d.Record().State == StateCommitted { // the next Open removes it in any case
		return nil
	}
	return d.store.disk.sync()
}

// Discard removes the draft: the service has accepted it, or nobody wants it. It
// closes the draft in any case; on an error files may be left, which the next
// Open removes or Kept lists. After Close or Keep it does nothing.
func (d *Draft) Discard() error {
	if !d.beginClose() {
		return nil
	}
	err := d.retire()
	if err == nil {
		err = d.store.eraseGone(d.id)
	}
	return fail("discard draft", d.name(), errors.Join(err, d.release()))
}

// Keep fsyncs the draft, journals StateFailed and the reason, closes the draft and
// leaves it in staging. On an error (a full disk) it is closed and left all the
// same, with the journal that it had.
func (d *Draft) Keep(reason string) error {
	return d.keep(func(r *Record) { r.State, r.Reason = StateFailed, reason })
}

// Abandon is Keep with StateAbandoned: its writer was killed. Whether it may go after
// a time (ExpireAbandoned) the caller knows.
func (d *Draft) Abandon(reason string, mayGo bool) error {
	return d.keep(func(r *Record) { r.State, r.Reason, r.Unsure = StateAbandoned, reason, !mayGo })
}

func (d *Draft) keep(change func(*Record)) error {
	if !d.beginClose() {
		return fail("keep draft", d.name(), os.ErrClosed)
	}
	err := d.sync(func(r *Record) {
		r.Accepted, r.Closed = false, true
		change(r)
	})
	return fail("keep draft", d.name(), errors.Join(err, d.release()))
}

// Close ends the draft and leaves it in staging in the state that it has, its bytes
// fsynced. After Discard, Keep or another Close it does nothing.
func (d *Draft) Close() error {
	if !d.beginClose() {
		return nil
	}
	d.mu.Lock()
	closed, unlinked := d.rec.Closed, d.unlinked
	d.mu.Unlock()
	var err error
	if unlinked { // only its journal is needed: its removal must give room back
		err = d.clear()
	}
	if err == nil && !closed { // else nothing changed since it was reopened
		err = d.sync(func(r *Record) { r.Closed = true })
	}
	return fail("close draft", d.name(), errors.Join(err, d.release()))
}

// clear gives up the bytes.
func (d *Draft) clear() error {
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutLocked(0)
	d.size = 0
	d.touches++
	return nil
}

// beginClose refuses every operation from here on; false when another call did
// so before.
func (d *Draft) beginClose() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.closed
	d.closed = true
	return !was
}

// release lets the base and, with the data file, the lock go. Reads under way
// end first: os.File and heldBase count them.
func (d *Draft) release() error {
	d.syncs.Wait()
	d.mu.Lock()
	base := d.base
	d.base = nil
	d.mu.Unlock()
	d.drop(base)
	return d.file.Close()
}
