package commit

import (
	"context"
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/image"
)

// TrashRecords reads, hides and deletes image records, as Records and Changer do.
type TrashRecords interface {
	Get(ctx context.Context, id string) (image.Image, error)
	Update(ctx context.Context, id string, changes []image.Change) (image.Image, error)
	Delete(ctx context.Context, id string) error
}

// HiddenLister lists the hidden images of the project, page by page. It ends early
// with yield's error, and when ctx does.
type HiddenLister interface {
	ListHidden(ctx context.Context, yield func([]image.Image) error) error
}

// TrashOptions of a Trash. Records must be set.
type TrashOptions struct {
	Records TrashRecords
	Hidden  HiddenLister // nil: only Remove is called
	// Keep is how long removed and replaced images are kept; 0 deletes them at once.
	Keep   time.Duration
	Now    func() time.Time // the service's clock, which all hosts share; nil: the host's
	Logger *slog.Logger     // nil: no log
}

// Trash takes images away that were removed or replaced: it deletes them, or hides
// them for a time. Its methods may be called by several goroutines at once.
type Trash struct {
	records TrashRecords
	hidden  HiddenLister
	keep    time.Duration
	now     func() time.Time
	log     *slog.Logger
}

// NewTrash makes a Trash.
func NewTrash(o TrashOptions) *Trash {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Trash{records: o.Records, hidden: o.Hidden, keep: o.Keep, now: o.Now, log: o.Logger}
}

// Remove takes an image out of the directory; by is the id of the image that takes
// its place, "" for none. When it returns nil, that has happened: the image is
// deleted or, where images are kept, hidden. Kinds: NotFound, Protected, Busy (in
// use, where it has to be deleted), and those of every request. Trying again after
// a lost answer does no harm.
func (t *Trash) Remove(ctx context.Context, id, by string) error {
	if t.keep <= 0 {
		return t.records.Delete(ctx, id)
	}
	img, err := t.records.Get(ctx, id)
	if err != nil {
		return err
	}
	if _, lies := img.Trashed(); lies {
		return nil
	}
	switch {
	case img.Protected: // the service would let it be hidden
		return &image.Error{Op: "trash", Image: id, Kind: image.Protected, Detail: "clear its protected flag first"}
	case !worthKeeping(img):
		return t.records.Delete(ctx, id)
	}
	now := t.now()
	why := image.Trash{At: now, Until: now.Add(t.keep + time.Second - 1), By: by} // its text has whole seconds
	changes := []image.Change{
		{Field: "os_hidden", Value: true},
		{Field: image.PropertyTrash, Property: true, Value: why.Encode(id)},
	}
	if img.Properties[image.PropertyDraft] != "" { // somebody has unhidden it as it was being made
		changes = append(changes, image.Change{Field: image.PropertyDraft, Property: true})
	}
	if _, err := t.records.Update(ctx, id, changes); err != nil {
		return err
	}
	t.log.Info("hidden instead of deleted: it lies in the trash", "image", id, "name", img.Name, "why", why.Why(), "until", why.Until.UTC().Format(time.RFC3339))
	return nil
}

// worthKeeping reports whether an image has, or will have, bytes to come back to. A
// record without data has none, and what a commit has left half-made is taken back.
func worthKeeping(img image.Image) bool {
	switch img.Status {
	case image.StatusQueued, image.StatusKilled, image.StatusDeleted, image.StatusPendingDelete:
		return false
	}
	return !img.Hidden || img.Properties[image.PropertyDraft] == ""
}
