package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
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

// A rename over a file that goes on being written is taken back while that is: else there
// would be two images of its name from its close on.
func TestFinishRenameOverLiveDraft(t *testing.T) {
	for title, edited := range map[string]bool{"new": false, "edited": true} {
		t.Run(title, func(t *testing.T) { finishRenameOverLiveDraft(t, edited) })
	}
}

func finishRenameOverLiveDraft(t *testing.T, edited bool) {
	r := newRenameRooms(t, time.Minute)
	r.journal.Settled()
	if _, err := r.journal.End(); err != nil {
		t.Fatal(err)
	}
	records := &unheard{r.client, true}
	r.catalog = catalog.New(catalog.Options{Lister: lister{client: r.client}, Records: records, Remover: r.trash, Sharer: r.client})
	t.Cleanup(r.catalog.Close)
	j := r.drafts().BeginRename(fs.RenameSpec{From: "a", To: "b", Gone: r.gone.ID()})
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
	called := func(when, want string) {
		t.Helper()
		if img, err := r.client.Get(t.Context(), r.img.ID); err != nil || img.Name != want {
			t.Errorf("%s the image is called %q, %v", when, img.Name, err)
		}
	}
	called("unheard,", "b")
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Errorf("while the file is open: %v", err)
	}
	called("while the file is open", "a")
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
