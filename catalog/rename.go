package catalog

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// RenameJournal is told of a rename over what is there, before each step that a crash
// must not leave half done: FinishRename goes on from what it was told last. It is
// used by one goroutine, and its owner ends it.
type RenameJournal interface {
	// ID tells it apart from all others.
	ID() string
	// Drafted reports whether a draft over the image is renamed with it, or one has the name
	// and goes, and each keeps its name where the service does not answer: then the image is
	// to have its own again.
	Drafted() bool
	// Note returns when that is on the disk. The first one comes before anything has
	// changed; with an error of it nothing does.
	Note(r image.Rename) error
	// Settled says that nothing is left to do at the service, or that nobody can.
	Settled()
}

// HeldJournal is a journal that nobody else is about until End. That removes it where it is
// Settled, else leaves it for FinishRename.
type HeldJournal interface {
	RenameJournal
	End() error
}

// Journals has the journals of renames that have not ended, on a disk that other daemons
// may use, too.
type Journals interface {
	// TakeRename holds one; the caller ends it. NotFound: nothing is left to tell of that
	// rename. Busy: somebody else is about it.
	TakeRename(id string) (HeldJournal, error)
}

// unjournaled is the journal of a rename that needs none, or is about one whose journal
// is not at hand.
type unjournaled string

func (u unjournaled) ID() string            { return string(u) }
func (unjournaled) Drafted() bool           { return false }
func (unjournaled) Note(image.Rename) error { return nil }
func (unjournaled) Settled()                {}

// opRenameOver is the operation that errors of a rename over an image name.
const opRenameOver = "rename over"

// Rename gives img the name that shows at toEntry and, with over (the image
// there now), retires over: img inherits its place among images of one name, who
// may see it, and what else it carried (takeover.go); over is deleted, or, while
// it is in use, renamed out of the way. What is sure to be refused is refused
// before anything has changed, and if the service refuses to retire over, img becomes
// again what it was: then the error is why (Busy, Protected, …). Where the service
// does not answer whether over is retired, img keeps the name, for an undone rename
// must not have cost an image; the error is that of the retirement. Kinds InvalidName
// and NameTooLong speak of toEntry, Stale of an image that got another name meanwhile.
// Further changes of img's attributes travel with the name; img shows them already.
// j, nil for none, is told how far a rename over something has got. Where it is not told
// Settled the service has not answered, and FinishRename can go on. So does whatever changes img
// next; and so does a Rename with an earlier one of either (FinishBefore).
// It ends within 10 s, or when ctx would by its deadline; ctx ends a rename over
// another image only before that has changed anything.
func (c *Catalog) Rename(ctx context.Context, img image.Image, toEntry string, over *image.Image, j RenameJournal, also ...image.Change) (image.Image, error) {
	name, err := ImageName(toEntry)
	if err != nil {
		return image.Image{}, err
	}
	ctx, cancel := context.WithDeadline(ctx, changeBefore(ctx))
	defer cancel()
	if over != nil && over.ID == img.ID {
		over = nil
	}
	if err := c.FinishBefore(ctx, img.ID); err != nil {
		return image.Image{}, err
	}
	if over != nil {
		if err := c.FinishBefore(ctx, over.ID); err != nil {
			return image.Image{}, err
		}
		if over, err = c.replaceable(ctx, *over); err != nil {
			return image.Image{}, err
		}
	}
	if err := c.renaming.enter(ctx, img.ID); err != nil {
		return image.Image{}, wrap("rename", img.ID, err)
	}
	defer c.renaming.leave(img.ID)
	var named image.Image
	if over != nil {
		named, err = c.renameOver(ctx, img, *over, name, toEntry, j)
	} else {
		named, err = c.renameAway(ctx, img, name, toEntry, j, also)
	}
	if named.ID != "" {
		c.overtake("", image.Rename{Image: named, Name: name}, true)
		c.outlive(named)
	}
	return named, err
}

// renameAway is Rename over what is no image.
func (c *Catalog) renameAway(ctx context.Context, img image.Image, name, toEntry string, j RenameJournal, also []image.Change) (image.Image, error) {
	r := image.Rename{Image: img, Name: name}
	if img.Name != name {
		also = append(slices.Clip(also), image.Change{Field: "name", Value: name})
	}
	change := func() (image.Image, error) {
		if len(also) == 0 {
			return img, nil
		}
		return c.updateInPlace(ctx, img.ID, also, toEntry)
	}
	if j == nil {
		c.overtake("", r, false)
		return change()
	}
	return c.renameOverDraft(ctx, r, followed{j, c}, change)
}

// renameOverDraft is Rename over what is no image, but may be a draft. That keeps the name
// where the service does not answer: then img is to have its own again.
func (c *Catalog) renameOverDraft(ctx context.Context, r image.Rename, j RenameJournal, change func() (image.Image, error)) (image.Image, error) {
	err := j.Note(r)
	if err != nil {
		j.Settled()
		return image.Image{}, err
	}
	img, err := change()
	if unanswered(err) {
		c.noteUndone(r, j)
	} else {
		j.Settled()
	}
	return img, err
}

// renameOver is Rename over an image that is there.
func (c *Catalog) renameOver(ctx context.Context, img, over image.Image, name, toEntry string, j RenameJournal) (image.Image, error) {
	if j == nil {
		j = unjournaled(img.ID)
	}
	t, err := c.takeOver(ctx, img, over, name, j)
	if err != nil {
		return image.Image{}, err
	}
	return t.do(ctx, toEntry)
}

// changeBefore is when the changes of a rename have to be through: there must be time
// to look and to undo within ctx's own deadline.
func changeBefore(ctx context.Context) time.Time {
	bound := time.Now().Add(changeBound)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-undoBound).Before(bound) {
		return deadline.Add(-undoBound)
	}
	return bound
}

// unanswered reports a failure after which the service may yet have done what it
// was asked for.
func unanswered(err error) bool {
	return err != nil && (away(err) || image.Is(err, image.Interrupted))
}

// settled looks what became of an image whose retirement was not answered: nil where
// it is gone from its name, else why it is not known. A service deletes the record
// first, so one that is there may go later.
func (c *Catalog) settled(ctx context.Context, over image.Image, unknown error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoBound)
	defer cancel()
	now, err := c.records.Get(ctx, over.ID)
	_, trashed := now.Trashed()
	if image.Is(err, image.NotFound) || err == nil && (trashed || now.Name != over.Name) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.retiredLocked(over.ID)
		return nil
	}
	return unknown
}

// replaceable returns the current record of an image that a rename is about to
// replace, nil if it is gone, or why it cannot be replaced.
func (c *Catalog) replaceable(ctx context.Context, over image.Image) (*image.Image, error) {
	now, err := c.records.Get(ctx, over.ID)
	_, trashed := now.Trashed()
	switch {
	case image.Is(err, image.NotFound), err == nil && trashed:
		c.Forget(over.ID)
		return nil, nil
	case err != nil:
		return nil, wrap(opRenameOver, over.ID, err)
	case now.Name != over.Name:
		return nil, &image.Error{Op: opRenameOver, Image: over.ID, Kind: image.Stale, Detail: "it was renamed meanwhile"}
	}
	return &now, now.Replaceable(opRenameOver)
}

// retire takes an image away that was replaced by another, or renames it out of
// the way while it is in use. That it is gone already is success.
func (c *Catalog) retire(ctx context.Context, over image.Image, by string) error {
	err := c.remove(ctx, over.ID, by)
	switch {
	case err == nil, image.Is(err, image.NotFound):
		return nil
	case !image.Is(err, image.Busy):
		return err
	}
	aside := over.AsideName()
	if _, renameErr := c.update(ctx, over.ID, []image.Change{{Field: "name", Value: aside}}); unanswered(renameErr) {
		return renameErr
	} else if renameErr != nil {
		c.log.Warn("the replaced image is in use and cannot be renamed; the rename is undone",
			slog.String("image", over.ID), slog.Any("error", renameErr))
		return &image.Error{Op: opRenameOver, Image: over.ID, Kind: image.Busy, Err: err}
	}
	c.log.Warn("the replaced image is in use; it stays under another name",
		slog.String("image", over.ID), slog.String("name", aside))
	return nil
}
