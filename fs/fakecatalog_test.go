package fs

import (
	"context"
	"slices"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// Lookup finds an entry.
func (h *house) Lookup(ctx context.Context, entry string) (Entry, error) {
	if err := h.ask(ctx, "lookup", entry); err != nil {
		return Entry{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	all, ok := h.listing.(entries)
	if !ok {
		all = h.entriesLocked()
	}
	for _, e := range all {
		if e.Name == entry {
			return e, nil
		}
	}
	return Entry{}, missing("lookup", entry)
}

// List lists the entries.
func (h *house) List(ctx context.Context) (Listing, error) {
	if err := h.ask(ctx, "list", ""); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listing != nil {
		return h.listing, nil
	}
	return housed{entries(h.entriesLocked()), h}, nil
}

// lists makes l what List returns from now on.
func (h *house) lists(l Listing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listing = l
}

// entries is a listing that is complete.
type entries []Entry

// At returns one entry.
func (l entries) At(_ context.Context, i int) (Entry, bool, error) {
	if i >= len(l) {
		return Entry{}, false, nil
	}
	return l[i], true, nil
}

// Ready says that nobody waits.
func (l entries) Ready(int) bool { return true }

// Still says that nothing changes.
func (l entries) Still(Entry) bool { return true }

// housed is a listing of the house, which changes.
type housed struct {
	entries
	house *house
}

// Still asks the house.
func (l housed) Still(e Entry) bool {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	return slices.ContainsFunc(l.house.entriesLocked(), func(now Entry) bool {
		return now.Name == e.Name && now.Draft == e.Draft && now.Image.ID() == e.Image.ID()
	})
}

// ByID finds an image.
func (h *house) ByID(ctx context.Context, id string) (image.Image, error) {
	if err := h.ask(ctx, "by id", id); err != nil {
		return image.Image{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	img, ok := h.images[id]
	if !ok {
		return image.Image{}, missing("lookup by id", id)
	}
	return img, nil
}

// Fresh finds an image, renamed or not.
func (h *house) Fresh(ctx context.Context, id string) (image.Image, error) {
	if err := h.ask(ctx, "fresh", id); err != nil {
		return image.Image{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	img, ok := h.images[id]
	if !ok {
		return image.Image{}, missing("look", id)
	}
	return img, nil
}

// Gone has nothing to do: the house forgets nothing and remembers nothing.
func (h *house) Gone(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLocked("gone", id)
}

// IDs lists the images.
func (h *house) IDs(context.Context) (Listing, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all entries
	for _, e := range h.entriesLocked() {
		if id := e.Image.ID(); id != "" {
			all = append(all, Entry{Name: id, Image: e.Image})
		}
	}
	return all, nil
}

// Remove deletes an image.
func (h *house) Remove(ctx context.Context, id string) error {
	if err := h.ask(ctx, "remove", id); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.images[id]; !ok {
		return missing("delete", id)
	}
	delete(h.images, id)
	delete(h.data, id)
	h.noteLocked("remove", id)
	return nil
}

// Rename names an image and deletes the other.
func (h *house) Rename(ctx context.Context, img image.Image, entry string, over *image.Image, j RenameJournal, also ...image.Change) (image.Image, error) {
	if j != nil {
		if err := j.Note(image.Rename{Image: img, Name: entry, Over: over}); err != nil {
			j.Settled()
			return image.Image{}, err
		}
	}
	if err := h.ask(ctx, "rename", entry); err != nil {
		if j != nil && image.Is(err, image.Forbidden) {
			j.Settled()
		}
		return image.Image{}, err
	}
	h.mu.Lock()
	now, ok := h.images[img.ID]
	if !ok {
		h.mu.Unlock()
		return image.Image{}, missing("rename", img.ID)
	}
	now = changed(now, also)
	now.Name, now.UpdatedAt = entry, h.nowLocked()
	h.images[img.ID] = now
	h.mu.Unlock()
	if err := h.ask(ctx, "retire", entry); err != nil {
		return now, err
	}
	if j != nil {
		j.Settled()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if over != nil {
		delete(h.images, over.ID)
		delete(h.data, over.ID)
	}
	h.noteLocked("rename", entry)
	return now, nil
}

// Update changes a record.
func (h *house) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	if err := h.ask(ctx, "update", id); err != nil {
		return image.Image{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	img, ok := h.images[id]
	if !ok {
		return image.Image{}, missing("update", id)
	}
	img = changed(img, changes)
	img.UpdatedAt = h.nowLocked()
	h.images[id] = img
	h.noteLocked("update", id)
	return img, nil
}

// changed is a record with changes.
func changed(img image.Image, changes []image.Change) image.Image {
	for _, c := range changes {
		img = image.Settings{}.With(c).Over(img)
	}
	return img.Clone()
}

// FinishBefore has nothing to do: the hook says otherwise.
func (h *house) FinishBefore(ctx context.Context, id string) error {
	return h.ask(ctx, "finish", id)
}

// FinishAt has nothing to do: the hook says otherwise.
func (h *house) FinishAt(ctx context.Context, entry string) error {
	return h.ask(ctx, "finish", entry)
}

// AddDraft shows a draft.
func (h *house) AddDraft(entry, draft string) error {
	if err := h.ask(context.Background(), "add draft", entry); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.overlay[entry] != "" {
		return &image.Error{Op: "add draft", Image: entry, Kind: image.Exists}
	}
	h.overlay[entry] = draft
	return nil
}

// MoveDraft shows it elsewhere.
func (h *house) MoveDraft(draft, entry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.liftLocked(draft)
	h.overlay[entry] = draft
}

// RemoveDraft shows it no longer.
func (h *house) RemoveDraft(draft string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.liftLocked(draft)
}

func (h *house) liftLocked(draft string) {
	for entry, id := range h.overlay {
		if id == draft {
			delete(h.overlay, entry)
		}
	}
}

// ImageName takes every entry but those with a "!".
func (h *house) ImageName(entry string) (string, error) {
	if strings.Contains(entry, "!") {
		return "", &image.Error{Op: "name", Image: entry, Kind: image.InvalidName}
	}
	return entry, nil
}

func missing(op, what string) error { return &image.Error{Op: op, Image: what, Kind: image.NotFound} }
