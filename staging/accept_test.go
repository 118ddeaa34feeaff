package staging

import (
	"context"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What Accept promised is in the journal of whoever comes next, with the bytes; a
// write takes it back.
func TestAccept(t *testing.T) {
	s := openStore(t, t.TempDir())
	mode := uint32(0o600)
	d := create(t, s, over([]byte("what was there")))
	write(t, d, "WHAT", 0)
	if d.Record().Owed() {
		t.Error("a commit is owed before a close")
	}
	must(t, d.Accept(t.Context(), image.Attributes{Mode: &mode}))
	j, err := s.readJournal(d.ID())
	must(t, err)
	if !j.Owed() || !j.Accepted || !j.Synced || j.State != StateCommitting || j.Attributes.Mode == nil || *j.Attributes.Mode != mode {
		t.Errorf("the journal says %+v", j.Record)
	}
	if in, end := j.ext.at(0); !in || end != 4 {
		t.Errorf("the journal has local bytes: %v, up to %d", in, end)
	}

	must(t, d.Update(func(r *Record) { r.State, r.Reason = StateFailed, "no room" }))
	if j, err = s.readJournal(d.ID()); err != nil || !j.Owed() {
		t.Errorf("after a failed commit nothing is owed: %+v, %v", j.Record, err)
	}

	write(t, d, "x", 20)
	if j, err = s.readJournal(d.ID()); err != nil || j.Owed() || j.State != StateOpen {
		t.Errorf("after a write the journal says %+v, %v", j.Record, err)
	}

	must(t, d.Accept(t.Context(), image.Attributes{}))
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	must(t, d.Rebase(&memory{}, image.Image{ID: "made"}))
	snap.End(true)
	if r := d.Record(); r.Owed() {
		t.Errorf("after the commit the journal says %+v", r)
	}
	must(t, d.Discard())
}

// Accept stands behind a commit that runs, as a writer does, and obeys its ctx; what
// was unlinked or closed is not accepted.
func TestAcceptRefuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	d := create(t, s, Spec{Name: "n", Entry: "n"})
	write(t, d, "x", 0)
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, d.Accept(ctx, image.Attributes{}), image.Interrupted)
	snap.End(false)
	must(t, d.Unlink())
	wantKind(t, d.Accept(t.Context(), image.Attributes{}), image.NotFound)
	must(t, d.Discard())
	if err := d.Accept(t.Context(), image.Attributes{}); err == nil {
		t.Error("a closed draft was accepted")
	}
}
