package fs

import (
	"cmp"
	"context"
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
	// listing is what List returns; nil: all entries at once. Set it before it is listed.
	listing Listing

	mu      sync.Mutex // guards the fields below
	images  map[string]image.Image
	data    map[string][]byte
	overlay map[string]string // draft id by entry
	drafts  map[string]*fakeDraft
	renames []*fakeJournal // at each of their notes
	log     []string       // what changed something: "commit NAME", "remove ID", …
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
	rooms := Rooms{Catalog: h, Engine: h, Permission: h, Drafts: h, Committer: h, Usage: h, Copies: h.copies}
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
			return string(h.data[e.Image.ID()])
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
			return e.Image.Unpack()
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
		list = append(list, Entry{Name: name, Image: image.Pack(img)})
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

// Storage tells a quota.
func (h *house) Storage(ctx context.Context) (used, limit int64, ok bool, err error) {
	return 1 << 30, 4 << 30, true, h.ask(ctx, "usage", "")
}

// count is how many images there are.
func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.images)
}
