package staging

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Snapshot is a draft standing still for one commit: whoever wants to change it
// waits until End. It may be read by several goroutines, as often as needed.
type Snapshot struct {
	draft *Draft
	size  int64
	end   sync.Once
}

// BeginCommit waits, obeying ctx, for the writers at work and for a commit that
// runs, and holds the draft still. An unlinked draft is kind NotFound; one of which an
// fsync has failed, or a write was refused, is not committed. The caller must call End.
func (d *Draft) BeginCommit(ctx context.Context) (*Snapshot, error) {
	if err := d.gate.Acquire(ctx, gateWidth); err != nil {
		return nil, fail("begin commit", d.name(), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	switch {
	case d.closed:
		err = fail("begin commit", d.rec.Name, os.ErrClosed)
	case d.lost != nil:
		err = fail("begin commit", d.rec.Name, lostBytes(d.lost))
	case d.refused.err() != nil:
		err = fail("begin commit", d.rec.Name, d.refused.err())
	case d.unlinked:
		err = &image.Error{Op: "begin commit", Image: d.rec.Name, Kind: image.NotFound, Detail: "it was unlinked"}
	}
	if err != nil {
		d.gate.Release(gateWidth)
		return nil, err
	}
	d.frozen = true
	return &Snapshot{draft: d, size: d.size}, nil
}

// ReadAt is Draft.ReadAt. It fails once the draft is closed; after End it shows
// what the draft has become.
func (s *Snapshot) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return s.draft.ReadAt(ctx, p, off)
}

// syncAfter is how long a commit reads before its draft is put on the local disk: one
// that is through by then has its bytes in the service, and writing them to a disk as
// well would only hold it up.
const syncAfter = 10 * time.Second

// During runs work, which reads the snapshot to commit it, and returns its error. After
// it, the local disk has not failed to take anything that was written: else what was
// read may be what was there before, and an error says so; ctx ends the wait for that.
// Beside a work that takes long the draft is fsynced, and the journal is told: so a
// power failure leaves a draft that is known to be whole. An fsync cannot be
// interrupted; the draft's end waits for it.
func (s *Snapshot) During(ctx context.Context, work func() error) error {
	d, name := s.draft, s.draft.name()
	var err error
	over, done := make(chan struct{}), make(chan struct{})
	begun := d.beside(func() {
		defer close(done)
		late := time.NewTimer(syncAfter)
		defer late.Stop()
		select {
		case <-late.C:
			err = d.syncCommit()
		case <-over:
		}
	})
	if !begun {
		return fail("sync draft", name, os.ErrClosed)
	}
	failed := work()
	close(over)
	if failed != nil {
		return failed
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fail("sync draft", name, ctx.Err())
	}
	if err == nil {
		if err = d.store.written(d.file); err != nil {
			err = d.lose(err, nil)
		}
	}
	return fail("sync draft", name, err)
}

// beside runs work in a goroutine that the draft's end waits for; false where it has
// ended.
func (d *Draft) beside(work func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.syncs.Go(work)
	}
	return !d.closed
}

func (d *Draft) syncCommit() error {
	d.mu.Lock()
	done := d.fsynced == d.touches && d.lost == nil
	d.mu.Unlock()
	if done {
		return nil
	}
	if err := d.sync(nil); err != nil {
		return err
	}
	return d.rewrite(func(r *Record) bool { return r.State == StateCreated }, nil)
}

// Size is the length in bytes of what is committed.
func (s *Snapshot) Size() int64 { return s.size }

// End lets writers go on. With committed the draft is clean: the service has
// exactly these bytes. A second End does nothing.
func (s *Snapshot) End(committed bool) {
	s.end.Do(func() {
		d := s.draft
		d.mu.Lock()
		d.frozen = false
		if committed {
			d.dirty = false
		}
		d.mu.Unlock()
		d.gate.Release(gateWidth)
	})
}
