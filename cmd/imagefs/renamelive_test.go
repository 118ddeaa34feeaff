package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// unheard are records of which the answers to changes may be lost.
type unheard struct {
	*client.Client
	lost bool
}

func (u *unheard) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	img, err := u.Client.Update(ctx, id, changes)
	if err == nil && u.lost {
		return image.Image{}, &image.Error{Op: "update", Image: id, Kind: image.Stalled}
	}
	return img, err
}

func (u *unheard) Remove(ctx context.Context, id, _ string) error {
	if u.lost {
		return &image.Error{Op: "delete", Image: id, Kind: image.Stalled}
	}
	return u.Delete(ctx, id)
}

// newUnheardRooms are rooms with another journal of the rename, which was begun so long
// ago, and whose catalog may hear nothing.
func newUnheardRooms(t *testing.T, ago time.Duration) (*renameRooms, *unheard, fs.RenameJournal) {
	t.Helper()
	r := newRenameRooms(t, ago)
	r.journal.Settled()
	if _, err := r.journal.End(); err != nil {
		t.Fatal(err)
	}
	records := &unheard{Client: r.client}
	r.catalog = catalog.New(catalog.Options{Lister: lister{client: r.client}, Records: records, Remover: records, Sharer: r.client, Journals: r.journals()})
	t.Cleanup(r.catalog.Close)
	return r, records, r.drafts().BeginRename(fs.RenameSpec{From: "a", To: "b", Gone: r.gone.ID()})
}

// called checks what the image of the rename is called.
func (r *renameRooms) called(t *testing.T, when, want string) {
	t.Helper()
	if img, err := r.client.Get(t.Context(), r.img.ID); err != nil || img.Name != want {
		t.Errorf("%s the image is called %q, %v", when, img.Name, err)
	}
}

// A rename over a file that goes on being written is taken back while that is: else there
// would be two images of its name from its close on.
func TestFinishRenameOverLiveDraft(t *testing.T) {
	for title, edited := range map[string]bool{"new": false, "edited": true} {
		t.Run(title, func(t *testing.T) { finishRenameOverLiveDraft(t, edited) })
	}
}

func finishRenameOverLiveDraft(t *testing.T, edited bool) {
	r, records, j := newUnheardRooms(t, time.Minute)
	records.lost = true
	var over *image.Image
	if edited {
		over = &r.over
	}
	if _, err := r.catalog.Rename(t.Context(), r.img, "b", over, j); !image.Is(err, image.Stalled) {
		t.Fatal(err)
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	records.lost = false
	r.called(t, "unheard,", "b")
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Errorf("while the file is open: %v", err)
	}
	r.called(t, "while the file is open", "a")
	if _, err := r.client.Get(t.Context(), r.over.ID); err != nil {
		t.Errorf("what is under it: %v", err)
	}
	if err := errors.Join(r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	if names, journals := r.left(t); len(names) != 2 || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}

// What a rename has replaced goes when the service answers again, also while the file that had
// the name, and is gone, is open.
func TestFinishRenameOverOpenFile(t *testing.T) {
	r, records, j := newUnheardRooms(t, time.Minute)
	settling := &unheard{Client: r.client, lost: true}
	r.catalog = catalog.New(catalog.Options{Lister: lister{client: r.client}, Records: records, Remover: settling, Sharer: r.client, Journals: r.journals()})
	t.Cleanup(r.catalog.Close)
	if named, err := r.catalog.Rename(t.Context(), r.img, "b", &r.over, j); !image.Is(err, image.Stalled) || named.Name != "b" {
		t.Fatal(named.Name, err)
	}
	if err := errors.Join(r.gone.Unlink(), j.End()); err != nil {
		t.Fatal(err)
	}
	settling.lost = false
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Error(err)
	}
	r.called(t, "in the end", "b")
	if _, err := r.client.Get(t.Context(), r.over.ID); !image.Is(err, image.NotFound) {
		t.Errorf("what was replaced: %v", err)
	}
	if err := errors.Join(r.gone.Discard(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
	if names, journals := r.left(t); len(names) != 1 || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}

// A rename over a file that has ended since, and whose journal is young, is taken back once:
// one that comes after that, and is answered, stays, and so do the bytes that are kept of the
// file.
func TestFinishRenameTriedAgain(t *testing.T) {
	for title, late := range map[string]bool{"after it was taken back": false, "before": true} {
		t.Run(title, func(t *testing.T) {
			r, records, j := newUnheardRooms(t, 0)
			records.lost = true
			if _, err := r.catalog.Rename(t.Context(), r.img, "b", nil, j); !image.Is(err, image.Stalled) {
				t.Fatal(err)
			}
			records.lost = false
			if err := errors.Join(r.gone.Keep("over quota"), r.moves.Close(), j.End()); err != nil {
				t.Fatal(err)
			}
			if late { // the request has not got there
				if _, err := r.client.Update(t.Context(), r.img.ID, []image.Change{{Field: "name", Value: "a"}}); err != nil {
					t.Fatal(err)
				}
			} else if err := r.finish(t.Context(), r.rename(t)); err != nil {
				t.Error(err)
			}
			r.called(t, "at first", "a")
			if _, err := r.catalog.Rename(t.Context(), r.img, "b", nil, nil); err != nil {
				t.Fatal(err)
			}
			renames, err := r.staging.Renames()
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range renames {
				if err := r.finish(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
			r.called(t, "in the end", "b")
			if names, journals := r.left(t); !slices.Equal(names, []string{"a moves", "b gone"}) || journals != 0 {
				t.Errorf("left %q and %d journals", names, journals)
			}
		})
	}
}

// A rename of an earlier run decides about its drafts, also where this mount has looked at it
// before, and somebody has them now.
func TestFinishRenameOfEarlierRunInUse(t *testing.T) {
	r := newRenameRooms(t, 0)
	r.killed(t)
	if err := r.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatal(err)
	}
	if _, err := r.client.Update(t.Context(), r.img.ID, []image.Change{{Field: "name", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	held, err := r.staging.Reopen(r.gone.ID(), staging.ReopenSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), r.rename(t)); !errors.Is(err, errElsewhere) {
		t.Errorf("held: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Fatal(err)
	}
	if names, journals := r.left(t); !slices.Equal(names, []string{"b moves"}) || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}
