package main

import (
	"errors"
	"testing"
	"time"

	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
)

// What is written into an empty image that others delete meanwhile becomes what that was, also
// where it is renamed over another image first.
func TestFileOfAnEmptyImageThatIsGone(t *testing.T) {
	for title, moved := range map[string]bool{"where it was": false, "over another": true} {
		t.Run(title, func(t *testing.T) {
			r := newRenameRooms(t, time.Minute)
			empty, err := r.client.Create(t.Context(), image.New{Name: "q", Visibility: image.VisibilityShared, Tags: []string{"tag"}, Properties: map[string]string{"k": "v"}})
			if err != nil {
				t.Fatal(err)
			}
			d, err := r.drafts().Create(fs.DraftSpec{Name: "q", Entry: "q", Into: &empty})
			if err == nil {
				_, err = d.WriteAt(t.Context(), []byte("written"), 0)
			}
			if err == nil {
				err = r.client.Delete(t.Context(), empty.ID)
			}
			if err == nil && moved {
				err = d.Rename("b", "b", &r.over, false, "")
			}
			if err != nil {
				t.Fatal(err)
			}
			img, err := committer{r.committer}.Commit(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if img.Visibility != image.VisibilityShared || len(img.Tags) != 1 || img.Properties["k"] != "v" {
				t.Errorf("it is %+v", img)
			}
			if _, err := r.client.Get(t.Context(), r.over.ID); moved != image.Is(err, image.NotFound) {
				t.Errorf("what it was renamed over: %v", err)
			}
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
			r.journal.Settled()
			_, err = r.journal.End()
			if err := errors.Join(err, r.gone.Close(), r.moves.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
