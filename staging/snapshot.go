package staging

import (
	"context"
	"os"
	"sync"

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

// Sync begins to put what is committed on the local disk, beside whoever reads it, and
// returns the wait for the end of that, which obeys ctx; the work itself cannot be
// interrupted, and the draft's end waits for it. Until it has succeeded, the kernel
// may find that it cannot write what it took, and what is read may be what was there
// before: a commit must not be published. Where an upload has begun meanwhile
// (StateCreated), the journal is told, so that a power failure leaves a draft that is
// known to be whole.
func (s *Snapshot) Sync() (wait func(context.Context) error) {
	d := s.draft
	done := make(chan struct{})
	var err error
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return func(context.Context) error { return fail("sync draft", d.name(), os.ErrClosed) }
	}
	d.syncs.Go(func() {
		defer close(done)
		err = fail("sync draft", d.name(), d.syncCommit())
	})
	return func(ctx context.Context) error {
		select {
		case <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
