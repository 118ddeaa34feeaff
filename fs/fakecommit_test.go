package fs

import (
	"context"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// Commit makes an image of the draft.
func (h *house) Commit(ctx context.Context, d Draft) (image.Image, error) {
	return h.commit(ctx, "commit", d.(*fakeDraft), nil)
}

// CommitEmpty makes a record without data of the draft.
func (h *house) CommitEmpty(ctx context.Context, d Draft) (image.Image, error) {
	return h.commit(ctx, "commit empty", d.(*fakeDraft), nil)
}

// Behind makes an image of the draft when it has its turn.
func (h *house) Behind(ctx context.Context, d Draft, turn func(context.Context) error) (image.Image, error) {
	return h.commit(ctx, "behind", d.(*fakeDraft), turn)
}

func (h *house) commit(ctx context.Context, op string, d *fakeDraft, turn func(context.Context) error) (image.Image, error) {
	if err := h.ask(ctx, "begin "+op, d.entry()); err != nil {
		return image.Image{}, err
	}
	if err := d.hold(ctx); err != nil {
		return image.Image{}, err
	}
	defer func() { <-d.gate }()
	d.mu.Lock()
	idle, name := d.unlinked || !d.dirty && (op == "commit" || d.committed != ""), d.spec.Name
	d.mu.Unlock()
	if idle {
		return image.Image{}, nil
	}
	if err := h.ask(ctx, op, name); err != nil {
		return image.Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return image.Image{}, err
	}
	if turn != nil {
		if err := turn(ctx); err != nil {
			return image.Image{}, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unlinked {
		return image.Image{}, nil
	}
	if d.spec.Into != nil && len(d.bytes) == 0 {
		if there, ok := h.images[d.spec.Into.ID]; ok { // it is that already
			h.noteLocked(op, d.spec.Name)
			d.dirty, d.accepted = false, false
			return there, nil
		}
	}
	at := h.nowLocked()
	img := image.Image{
		ID: d.id, Name: d.spec.Name, Status: image.StatusActive, Visibility: image.VisibilityPrivate,
		Owner: "ours", Size: int64(len(d.bytes)), CreatedAt: at, UpdatedAt: at, Properties: map[string]string{},
	}
	if d.committed != "" {
		img.ID = uuid.NewString()
	}
	if d.spec.Into != nil {
		img.ID, d.spec.Into = d.spec.Into.ID, nil
		img.CreatedAt = h.images[img.ID].CreatedAt
	}
	if img.Size == 0 {
		img.Status = image.StatusQueued
	}
	a := d.attributes
	if old := d.spec.Replaces; old != nil {
		is := h.images[old.ID]
		img.Visibility, img.Tags, img.MinDisk, img.MinRAM, img.Properties = is.Visibility, is.Tags, is.MinDisk, is.MinRAM, is.CarriedProperties()
		created := old.SortTime()
		a.Created = &created
		if is := h.images[old.ID].Name; is != old.Name && is != d.spec.Name { // others have renamed it to keep it
			old = &image.Image{}
		}
		delete(h.images, old.ID)
		delete(h.data, old.ID)
	}
	img = d.settings.Over(img).Clone()
	d.settings = image.Settings{}
	img.Properties[image.PropertyAttributes] = a.Encode(img.ID)
	h.images[img.ID], h.data[img.ID] = img, append([]byte(nil), d.bytes...)
	h.noteLocked(op, d.spec.Name)
	d.dirty, d.accepted, d.committed = false, false, img.ID
	now := img
	d.spec.Replaces = &now
	return img, nil
}
