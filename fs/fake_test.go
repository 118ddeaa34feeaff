package fs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// house is every room that a mount stands on, in memory. What it does can be
// watched, delayed and refused by its hook.
type house struct {
	// hook is called, without a lock, before each operation does anything; an error
	// is what the operation returns. Set it before the mount.
	hook func(ctx context.Context, op, what string) error
	// copies are local copies of images; nil: none. Set it before the mount.
	copies Copies
	// engine reads the images; nil: the house itself. Set it before the mount.
	engine Engine

	mu      sync.Mutex // guards the fields below
	images  map[string]image.Image
	data    map[string][]byte
	overlay map[string]string // draft id by entry
	drafts  map[string]*fakeDraft
	log     []string // what changed something: "commit NAME", "remove ID", …
	clock   time.Time
	readers int          // open ones
	views   atomic.Int64 // bytes handed out in place and not released
}

func newHouse() *house {
	return &house{
		images: map[string]image.Image{}, data: map[string][]byte{}, overlay: map[string]string{},
		drafts: map[string]*fakeDraft{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func (h *house) rooms() Rooms {
	rooms := Rooms{Catalog: h, Engine: h, Drafts: h, Committer: h, Usage: h, Copies: h.copies}
	if h.engine != nil {
		rooms.Engine = h.engine
	}
	return rooms
}

func (h *house) ask(ctx context.Context, op, what string) error {
	if h.hook == nil {
		return nil
	}
	return h.hook(ctx, op, what)
}

// did returns how often an operation was done.
func (h *house) did(op, what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, line := range h.log {
		if line == op+" "+what {
			n++
		}
	}
	return n
}

func (h *house) noteLocked(op, what string) { h.log = append(h.log, op+" "+what) }

// nowLocked is the service's time: it moves on with each change.
func (h *house) nowLocked() time.Time {
	h.clock = h.clock.Add(time.Second)
	return h.clock
}

// add makes an active image as if by others.
func (h *house) add(name, data string, change ...func(*image.Image)) image.Image {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.nowLocked()
	img := image.Image{
		ID: uuid.NewString(), Name: name, Status: image.StatusActive, Visibility: image.VisibilityPrivate,
		Owner: "ours", Size: int64(len(data)), CreatedAt: at, UpdatedAt: at, Properties: map[string]string{},
	}
	for _, f := range change {
		f(&img)
	}
	h.images[img.ID], h.data[img.ID] = img, []byte(data)
	return img
}

// edit changes a record as if by others.
func (h *house) edit(id string, change func(*image.Image)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	img := h.images[id].Clone()
	change(&img)
	img.UpdatedAt = h.nowLocked()
	h.images[id] = img
}

// drop deletes an image as if by others.
func (h *house) drop(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.images, id)
	delete(h.data, id)
}

// content returns the bytes of the first image of a name, "" where there is none.
func (h *house) content(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entriesLocked() {
		if e.Name == name {
			return string(h.data[e.Image.ID])
		}
	}
	return ""
}

// the returns the image that an entry stands for; its ID is "" where there is none.
func (h *house) the(entry string) image.Image {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entriesLocked() {
		if e.Name == entry {
			return e.Image
		}
	}
	return image.Image{}
}

// entriesLocked gives the oldest image of a name the plain entry, and the others
// one with the first digits of their ids.
func (h *house) entriesLocked() []Entry {
	all := make([]image.Image, 0, len(h.images))
	for _, img := range h.images {
		if !img.Hidden {
			all = append(all, img)
		}
	}
	slices.SortFunc(all, func(a, b image.Image) int {
		return cmp.Or(a.SortTime().Compare(b.SortTime()), strings.Compare(a.ID, b.ID))
	})
	at := map[string]int{}
	list := make([]Entry, 0, len(all))
	for _, img := range all {
		name := img.Name
		if _, taken := at[name]; taken {
			name += "~" + img.ID[:8]
		}
		at[name] = len(list)
		list = append(list, Entry{Name: name, Image: img})
	}
	for entry, draft := range h.overlay {
		if i, ok := at[entry]; ok {
			list[i].Draft = draft
		} else {
			list = append(list, Entry{Name: entry, Draft: draft})
		}
	}
	return list
}

// Lookup finds an entry.
func (h *house) Lookup(ctx context.Context, entry string) (Entry, error) {
	if err := h.ask(ctx, "lookup", entry); err != nil {
		return Entry{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entriesLocked() {
		if e.Name == entry {
			return e, nil
		}
	}
	return Entry{}, missing("lookup", entry)
}

// List lists the entries.
func (h *house) List(ctx context.Context) ([]Entry, error) {
	if err := h.ask(ctx, "list", ""); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entriesLocked(), nil
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

// Gone has nothing to do: the house forgets nothing and remembers nothing.
func (h *house) Gone(string) {}

// IDs lists the images.
func (h *house) IDs(context.Context) ([]image.Image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []image.Image
	for _, e := range h.entriesLocked() {
		if e.Image.ID != "" {
			all = append(all, e.Image)
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
func (h *house) Rename(ctx context.Context, img image.Image, entry string, over *image.Image) (image.Image, error) {
	if err := h.ask(ctx, "rename", entry); err != nil {
		return image.Image{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now, ok := h.images[img.ID]
	if !ok {
		return image.Image{}, missing("rename", img.ID)
	}
	now.Name, now.UpdatedAt = entry, h.nowLocked()
	h.images[img.ID] = now
	if over != nil {
		delete(h.images, over.ID)
		delete(h.data, over.ID)
	}
	h.noteLocked("rename", entry)
	return now, nil
}

// Update changes a record: only properties and what the tests change.
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
	img = img.Clone()
	for _, c := range changes {
		switch {
		case c.Property && c.Value == nil:
			delete(img.Properties, c.Field)
		case c.Property:
			img.Properties[c.Field], _ = c.Value.(string) // fs sends strings only
		case c.Field == "tags":
			img.Tags, _ = c.Value.([]string)
		case c.Field == "protected":
			img.Protected, _ = c.Value.(bool)
		case c.Field == "min_disk":
			img.MinDisk, _ = c.Value.(int64)
		}
	}
	img.UpdatedAt = h.nowLocked()
	h.images[id] = img
	h.noteLocked("update", id)
	return img, nil
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

// Storage tells a quota.
func (h *house) Storage(ctx context.Context) (used, limit int64, ok bool, err error) {
	return 1 << 30, 4 << 30, true, h.ask(ctx, "usage", "")
}

func missing(op, what string) error { return &image.Error{Op: op, Image: what, Kind: image.NotFound} }

// fakeReader reads an image.
type fakeReader struct {
	h      *house
	img    image.Image
	closed chan struct{}
}

// Open opens a reader.
func (h *house) Open(img image.Image) Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers++
	return &fakeReader{h: h, img: img, closed: make(chan struct{})}
}

// ReadAt reads what the service has now, up to the size that the record had.
func (r *fakeReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := r.h.ask(ctx, "read", r.img.ID); err != nil {
		return 0, err
	}
	select {
	case <-r.closed:
		return 0, &image.Error{Op: "read", Image: r.img.ID, Kind: image.Other, Detail: "closed"}
	default:
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	data, ok := r.h.data[r.img.ID]
	if !ok {
		return 0, missing("read", r.img.ID)
	}
	return readFrom(data[:min(int64(len(data)), r.img.Size)], p, off)
}

// View reads into p; the bytes have to be released.
func (r *fakeReader) View(ctx context.Context, p []byte, off int64) (Bytes, error) {
	n, err := r.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.h.views.Add(1)
	half := n / 2
	return &fakeBytes{h: r.h, parts: [][]byte{p[:half], p[half:n]}}, err
}

// fakeBytes are in two parts, and counted.
type fakeBytes struct {
	h     *house
	parts [][]byte
}

func (b *fakeBytes) Slices() [][]byte { return b.parts }

func (b *fakeBytes) Release() { b.h.views.Add(-1) }

// Close ends it; a second one panics.
func (r *fakeReader) Close() error {
	close(r.closed)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.readers--
	return nil
}

// count is how many images there are.
func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.images)
}
