package main

import (
	"errors"
	"testing"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

// A rename that is answered by one daemon, after one of an earlier daemon that was to be taken
// back, stays also where the recovery has not come to the journal of that before another kill.
func TestAnsweredRenameStaysAfterSecondKill(t *testing.T) {
	r, _, j := newUnheardRooms(t, 0)
	if err := j.Note(image.Rename{Image: r.img, Name: "b", Undone: true}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.End(), r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	second := r.another(t)
	if err := second.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	if _, err := second.catalog.Rename(t.Context(), r.img, "b", nil, nil); err != nil {
		t.Fatal(err)
	}
	if k := r.rename(t); !k.Ended || !k.Named {
		t.Errorf("its journal says %+v", k.Rename)
	}
	r.another(t).finishAll(t)
	r.called(t, "in the end", "b")
	if _, journals := r.left(t); journals != 0 {
		t.Errorf("left %d journals", journals)
	}
}

// The same where the first one is finished, before the image is changed: its drafts follow
// what it was then, not what others have called the image since.
func TestFinishedRenameStaysFinishedAfterSecondKill(t *testing.T) {
	r, _, j := newUnheardRooms(t, 0)
	if err := j.Note(image.Rename{Image: r.img, Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.End(), r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	second := r.another(t)
	if err := second.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	r.name(t, "b")
	if err := second.catalog.FinishBefore(t.Context(), r.img.ID); err != nil && !image.Is(err, image.Stale) {
		t.Fatal(err)
	}
	if k := r.rename(t); !k.Ended || !k.Named {
		t.Errorf("its journal says %+v", k.Rename)
	}
	r.name(t, "c")
	r.another(t).finishAll(t)
	r.called(t, "in the end", "c")
	if names, journals := r.left(t); len(names) != 1 || names[0] != "a moves" || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}
