package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// another is another daemon on the same staging directory, or the next one.
func (r *renameRooms) another(t *testing.T) *rooms {
	t.Helper()
	o := &rooms{client: r.client, staging: r.staging, log: quiet, left: make(chan struct{}, 1), trash: r.trash}
	o.catalog = catalog.New(catalog.Options{Lister: lister{client: r.client}, Records: r.client, Remover: r.trash, Sharer: r.client, Journals: o.journals()})
	t.Cleanup(o.catalog.Close)
	return o
}

// finishAll has all interrupted renames finished.
func (r *rooms) finishAll(t *testing.T) {
	t.Helper()
	renames, err := r.staging.Renames()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range renames {
		if err := r.finish(t.Context(), k); err != nil && !errors.Is(err, catalog.ErrTooYoung) {
			t.Error(err)
		}
	}
}

// renameUnheard renames a to b without an answer; the request has not got there yet.
func (r *renameRooms) renameUnheard(t *testing.T, records *unheard, j fs.RenameJournal, over *image.Image) {
	t.Helper()
	records.lost = true
	if _, err := r.catalog.Rename(t.Context(), r.img, "b", over, j); !image.Is(err, image.Stalled) {
		t.Fatal(err)
	}
	records.lost = false
	if err := errors.Join(j.End(), r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	r.name(t, "a")
}

// name gives the image a name behind the mount's back.
func (r *renameRooms) name(t *testing.T, name string) {
	t.Helper()
	if _, err := r.client.Update(t.Context(), r.img.ID, []image.Change{{Field: "name", Value: name}}); err != nil {
		t.Fatal(err)
	}
}

// A rename that was answered after one which was not stays, also where the daemon is killed
// at once: the next one finds nothing of the first to take back.
func TestAnsweredRenameStaysAfterKill(t *testing.T) {
	for title, done := range map[string]bool{"the first was done": true, "or not yet": false} {
		for _, edited := range []bool{false, true} {
			t.Run(title, func(t *testing.T) {
				r, records, j := newUnheardRooms(t, 0)
				var over *image.Image
				if edited {
					over = &r.over
				}
				r.renameUnheard(t, records, j, over)
				if done {
					r.name(t, "b")
				}
				if err := r.catalog.FinishBefore(t.Context(), r.img.ID); err != nil { // as whatever is done to it
					t.Fatal(err)
				}
				r.called(t, "before the second", "a")
				if _, err := r.catalog.Rename(t.Context(), r.img, "b", over, nil); err != nil {
					t.Fatal(err)
				}
				r.another(t).finishAll(t)
				r.called(t, "by the next daemon", "b")
				if names, journals := r.left(t); !slices.Equal(names, []string{"a moves", "b gone"}) || journals != 0 {
					t.Errorf("left %q and %d journals", names, journals)
				}
			})
		}
	}
}

// A request of a rename that comes after another rename to a third name, which was answered,
// does not undo that one, nor take away what it was over.
func TestLateRenameAfterAnother(t *testing.T) {
	for title, killed := range map[string]bool{"in this daemon": false, "in the next": true} {
		for _, edited := range []bool{false, true} {
			t.Run(title, func(t *testing.T) {
				r, records, j := newUnheardRooms(t, 0)
				var over *image.Image
				if edited {
					over, j = &r.over, r.drafts().BeginRename(fs.RenameSpec{From: "a", To: "b"})
				}
				r.renameUnheard(t, records, j, over)
				if _, err := r.catalog.Rename(t.Context(), r.img, "c", nil, nil); err != nil {
					t.Fatal(err)
				}
				r.name(t, "b")
				finisher := r.rooms
				if killed {
					finisher = r.another(t)
				}
				finisher.finishAll(t)
				r.called(t, "in the end", "c")
				if _, err := r.client.Get(t.Context(), r.over.ID); err != nil {
					t.Errorf("what it was over: %v", err)
				}
				if _, journals := r.left(t); journals != 0 {
					t.Errorf("left %d journals", journals)
				}
			})
		}
	}
}

// What one of two daemons knows of a rename ends with its journal, which the other has ended.
func TestRenameEndedByAnotherDaemon(t *testing.T) {
	r, records, j := newUnheardRooms(t, 0)
	other := r.another(t)
	r.renameUnheard(t, records, j, nil)
	if err := other.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	r.name(t, "b")
	r.finishAll(t)
	r.called(t, "taken back,", "a")
	if _, err := r.catalog.Rename(t.Context(), r.img, "b", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := other.catalog.FinishBefore(t.Context(), r.img.ID); err != nil && !image.Is(err, image.Stale) {
		t.Error(err)
	}
	r.called(t, "in the end", "b")
}

// Of a rename that two daemons have gone on with, the one goes on from where the other has
// got: one that is being taken back is not finished.
func TestRenameTakenBackByAnotherDaemon(t *testing.T) {
	r := newRenameRooms(t, time.Second)
	r.killed(t)
	k := r.rename(t)
	if err := r.finish(t.Context(), k); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	j, err := r.staging.TakeRename(k.ID)
	if err != nil {
		t.Fatal(err)
	}
	undone := k.Rename
	undone.Undone = true
	if err := j.Note(undone); err != nil {
		t.Fatal(err)
	}
	if _, err := j.End(); err != nil {
		t.Fatal(err)
	}
	r.name(t, "b")
	if err := r.finish(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	r.called(t, "in the end", "a")
	if _, err := r.client.Get(t.Context(), r.over.ID); err != nil {
		t.Errorf("what it was over: %v", err)
	}
}

// A rename of an earlier run decides about its drafts as it has ended, also where another one to
// the same name was tried since, and has not happened.
func TestRenameOfEarlierRunTriedInVain(t *testing.T) {
	r, records, j := newUnheardRooms(t, 0)
	if err := j.Note(image.Rename{Image: r.img, Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.End(), r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	records.lost = true
	if _, err := r.catalog.Rename(t.Context(), r.img, "b", nil, nil); !image.Is(err, image.Stalled) {
		t.Fatal(err)
	}
	records.lost = false
	r.name(t, "a")
	r.finishAll(t)
	if names, _ := r.left(t); !slices.Equal(names, []string{"a moves", "b gone"}) {
		t.Errorf("left %q", names)
	}
}

// A file that is kept after a failed close, and whose image was being renamed, is where that is:
// its retry makes one image of the name, which replaces that.
func TestFinishRenameOfKeptFile(t *testing.T) {
	for title, named := range map[string]bool{"named": true, "not begun": false} {
		t.Run(title, func(t *testing.T) {
			r := newRenameRooms(t, time.Minute)
			_, err := r.moves.WriteAt(t.Context(), []byte("edited"), 0)
			if err == nil {
				err = r.moves.Rename("b", "b", nil)
			}
			if err == nil {
				err = r.moves.Keep("over quota")
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "a"
			if named {
				want = "b"
				r.name(t, want)
			}
			r.killed(t)
			r.finishAll(t)
			d, err := r.staging.Reopen(r.moves.ID(), staging.ReopenSpec{})
			if err != nil {
				t.Fatal(err)
			}
			if rec := d.Record(); rec.Name != want || rec.Entry != want || rec.State != staging.StateFailed || rec.Reason != "over quota" || rec.Uncertain {
				t.Errorf("it is %+v", rec)
			}
			img, err := r.committer.Recover(t.Context(), d)
			if err != nil || img.Name != want || img.Size != 6 {
				t.Errorf("its image is %+v, %v", img, err)
			}
			if _, err := r.client.Get(t.Context(), r.img.ID); !image.Is(err, image.NotFound) {
				t.Errorf("what it replaces: %v", err)
			}
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
		})
	}
}
