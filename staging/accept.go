package staging

import (
	"context"
	"os"

	"github.com/imagefs/imagefs/image"
)

// Accept fsyncs the draft and journals that a close of it is answered before its
// commit: whatever comes, the next Store finds it with a commit due (Record.Owed).
// a is what the image begins with. It waits, obeying ctx, for the writers at work
// and for a commit that runs; a change of the bytes after it takes it back. An
// unlinked draft is kind NotFound. On an error nothing is promised.
func (d *Draft) Accept(ctx context.Context, a image.Attributes) error {
	name := d.name()
	if err := d.gate.Acquire(ctx, gateWidth); err != nil {
		return fail("accept draft", name, err)
	}
	defer d.gate.Release(gateWidth)
	d.mu.Lock()
	closed, unlinked, missing := d.closed, d.unlinked, d.refused.err()
	d.mu.Unlock()
	switch {
	case closed:
		return fail("accept draft", name, os.ErrClosed)
	case unlinked:
		return &image.Error{Op: "accept draft", Image: name, Kind: image.NotFound, Detail: "it was unlinked"}
	case missing != nil:
		return fail("accept draft", name, missing)
	}
	return fail("accept draft", name, d.sync(func(r *Record) {
		r.State, r.Accepted, r.Reason, r.Attributes = StateCommitting, true, "", a
	}))
}

// Owed reports whether a close of the draft had begun, or was even answered, and
// nothing was written since: its commit is due, also after a restart.
func (r Record) Owed() bool {
	switch {
	case r.Unlinked || r.Damage != "":
		return false
	case r.Accepted:
		return true
	}
	switch r.State {
	case StateCommitting, StateCreated, StateUploaded, StateVisible:
		return true
	default:
		return false
	}
}
