package catalog

import (
	"context"
	"log/slog"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

// maxName is the longest name that the service holds, in characters.
const maxName = 255

// Rename gives img the name that shows at toEntry and, with over (the image
// there now), retires over: img inherits its place among images of one name,
// over is deleted, or, while it is in use, renamed out of the way. What is sure
// to be refused is refused before anything has changed, and if over cannot be
// retired, img gets its old name back: then the error is why (Busy, Protected,
// …). Kinds InvalidName and NameTooLong speak of toEntry, Stale of an image that
// got another name meanwhile. It ends within 10 s.
func (c *Catalog) Rename(ctx context.Context, img image.Image, toEntry string, over *image.Image) (image.Image, error) {
	name, err := ImageName(toEntry)
	if err != nil {
		return image.Image{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeBound)
	defer cancel()
	if over != nil && over.ID == img.ID {
		over = nil
	}
	if over != nil {
		if over, err = c.replaceable(ctx, *over); err != nil {
			return image.Image{}, err
		}
	}
	changes, undo := renaming(img, name, over)
	if len(changes) == 0 {
		return img, nil
	}
	renamed, err := c.update(ctx, img.ID, changes, toEntry)
	if err != nil || over == nil {
		return renamed, err
	}
	if err := c.retire(ctx, *over); err != nil {
		c.putBack(ctx, img, undo)
		return image.Image{}, err
	}
	return renamed, nil
}

// replaceable returns the current record of an image that a rename is about to
// replace, nil if it is gone, or why it cannot be replaced.
func (c *Catalog) replaceable(ctx context.Context, over image.Image) (*image.Image, error) {
	now, err := c.records.Get(ctx, over.ID)
	switch {
	case image.Is(err, image.NotFound):
		c.Forget(over.ID)
		return nil, nil
	case err != nil:
		return nil, wrap("rename over", over.ID, err)
	case now.Protected:
		return nil, &image.Error{Op: "rename over", Image: over.ID, Kind: image.Protected}
	case now.Name != over.Name:
		return nil, &image.Error{Op: "rename over", Image: over.ID, Kind: image.Stale, Detail: "it was renamed meanwhile"}
	}
	return &now, nil
}

// renaming returns the changes that give img a name and over's place, and those
// that take both back.
func renaming(img image.Image, name string, over *image.Image) (changes, undo []image.Change) {
	if img.Name != name {
		changes = append(changes, image.Change{Field: "name", Value: name})
		undo = append(undo, image.Change{Field: "name", Value: img.Name})
	}
	if over == nil {
		return changes, undo
	}
	attributes := img.Attributes()
	created := over.SortTime()
	attributes.Created = &created
	changes = append(changes, image.Change{Field: image.PropertyAttributes, Property: true, Value: attributes.Encode(img.ID)})
	back := image.Change{Field: image.PropertyAttributes, Property: true}
	if old, had := img.Properties[image.PropertyAttributes]; had {
		back.Value = old
	}
	return changes, append(undo, back)
}

// retire deletes an image that was replaced, or renames it out of the way while
// it is in use. That it is gone already is success.
func (c *Catalog) retire(ctx context.Context, over image.Image) error {
	err := c.remove(ctx, over.ID)
	switch {
	case err == nil, image.Is(err, image.NotFound):
		return nil
	case !image.Is(err, image.Busy):
		return err
	}
	aside := asideName(over)
	if _, renameErr := c.update(ctx, over.ID, []image.Change{{Field: "name", Value: aside}}); renameErr != nil {
		c.log.Warn("the replaced image is in use and cannot be renamed; the rename is undone",
			slog.String("image", over.ID), slog.Any("error", renameErr))
		return &image.Error{Op: "rename over", Image: over.ID, Kind: image.Busy, Err: err}
	}
	c.log.Warn("the replaced image is in use; it stays under another name",
		slog.String("image", over.ID), slog.String("name", aside))
	return nil
}

// asideName is the name of a replaced image that could not be deleted.
func asideName(over image.Image) string {
	tail := "~replaced-" + short(over.ID)
	name := []rune(over.Name)
	return string(name[:min(len(name), maxName-utf8.RuneCountInString(tail))]) + tail
}

// putBack gives img its old name and place, also after ctx has ended: what the
// caller is told has failed must not stay half done.
func (c *Catalog) putBack(ctx context.Context, img image.Image, undo []image.Change) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoBound)
	defer cancel()
	if _, err := c.update(ctx, img.ID, undo, EntryName(img.Name, img.ID)); err != nil {
		c.log.Error("the old name of an image cannot be put back; it keeps the new one",
			slog.String("image", img.ID), slog.String("old name", img.Name), slog.Any("error", err))
	}
}
