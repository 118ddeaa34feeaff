package fs

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// breath is how long a change of mtime, mode or owner waits for others of the
	// same image: programs make them one right after the other (rsync, tar, a few
	// commands of a script). It is counted from the first, so that it bounds the
	// waiting, and is below the second for which the kernel and other mounts may
	// believe older attributes anyway.
	breath = 500 * time.Millisecond

	// maxUnsent is how many images may have changes that wait. Beyond it a change is
	// sent before it is answered, so that a chmod of a whole cloud goes no faster
	// than the service, and no more requests than these leave at once.
	maxUnsent = 16
)

// unsent are changes of attributes that were answered and that the service does
// not have yet. Those of one image leave by one update: their own after a breath,
// or another of that image that comes first.
type unsent struct {
	life context.Context // ends the sending
	work *sync.WaitGroup // counts the goroutines, one per image that waits
	// send updates the record of the image that is behind the node. It takes what
	// it sends from here, and leaves it here if it fails.
	send func(ctx context.Context, n *node, id string) error
	// lost is told of a change that is given up.
	lost  func(n *node, id string, err error)
	hurry <-chan struct{} // closed when nothing is to wait any longer

	count   atomic.Int32 // of images: most calls find none
	trusted atomic.Bool  // the service has accepted the last change of a record

	mu     sync.Mutex // guards the field below
	images map[string]*waiting
}

// waiting is what waits for one image.
type waiting struct {
	node   *node
	set    image.Attributes // nil fields are not changed
	caller image.Caller     // who made the last change
	gone   chan struct{}    // closed when nothing waits any more
}

func newUnsent(life context.Context, work *sync.WaitGroup, hurry <-chan struct{}) *unsent {
	return &unsent{life: life, work: work, hurry: hurry, images: make(map[string]*waiting)}
}

// add takes a change to be sent later. It does not where the service may well
// refuse it (it has refused the last one, or has not been asked yet), nor when too
// many wait already: then the caller sends it.
func (u *unsent) add(ctx context.Context, n *node, id string, set image.Attributes) bool {
	caller, _ := image.CallerOf(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.images[id]
	switch {
	case !u.trusted.Load(), w == nil && len(u.images) >= maxUnsent:
		return false
	case w == nil:
		w = &waiting{gone: make(chan struct{})}
		u.images[id] = w
		u.count.Add(1)
		u.work.Go(func() { u.keep(id, w) })
	}
	w.node, w.caller, w.set = n, caller, overlaid(w.set, set)
	return true
}

// of returns what waits for an image, nothing for most.
func (u *unsent) of(id string) image.Attributes {
	if u.count.Load() == 0 {
		return image.Attributes{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if w := u.images[id]; w != nil {
		return w.set
	}
	return image.Attributes{}
}

// over returns what was set on an image, with what waits for it.
func (u *unsent) over(img image.Packed) image.Attributes {
	set := img.Attributes()
	if u.count.Load() == 0 {
		return set
	}
	return overlaid(set, u.of(img.ID()))
}

// left is told what an update has brought to the service. What was changed while
// it was under way still waits.
func (u *unsent) left(id string, set image.Attributes) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if w := u.images[id]; w != nil && w.set == set {
		u.dropLocked(id)
	}
}

// drop forgets what waits for an image that was removed, or replaced by one that
// carries it.
func (u *unsent) drop(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dropLocked(id)
}

func (u *unsent) dropLocked(id string) {
	if w := u.images[id]; w != nil {
		delete(u.images, id)
		u.count.Add(-1)
		close(w.gone)
	}
}

// flush sends what waits for an image, for a caller who wants to know how it ends.
func (u *unsent) flush(ctx context.Context, id string) error {
	if u.of(id).IsZero() {
		return nil
	}
	u.mu.Lock()
	w := u.images[id]
	u.mu.Unlock()
	if w == nil {
		return nil
	}
	return u.send(ctx, u.from(w).node, id)
}

// from returns a copy of what waits.
func (u *unsent) from(w *waiting) waiting {
	u.mu.Lock()
	defer u.mu.Unlock()
	return *w
}

// keep sends what waits for one image after a breath, unless something else has
// brought it to the service by then.
func (u *unsent) keep(id string, w *waiting) {
	for {
		timer := time.NewTimer(breath)
		select {
		case <-timer.C:
		case <-u.hurry:
		case <-u.life.Done():
		case <-w.gone:
		}
		timer.Stop()
		select {
		case <-w.gone:
			return
		default:
		}
		now := u.from(w)
		if err := u.send(image.WithCaller(u.life, now.caller), now.node, id); err != nil {
			u.giveUp(id, w, err)
			return
		}
	}
}

// giveUp forgets what could not be sent. Changes are sent before they are answered
// from now on, until one is accepted.
func (u *unsent) giveUp(id string, w *waiting, err error) {
	u.trusted.Store(false)
	u.mu.Lock()
	there := u.images[id] == w
	if there {
		u.dropLocked(id)
	}
	u.mu.Unlock()
	if there {
		u.lost(w.node, id, err)
	}
}

// overlaid returns a with the fields of b that are set.
func overlaid(a, b image.Attributes) image.Attributes {
	if b.ModTime != nil {
		a.ModTime = b.ModTime
	}
	if b.Mode != nil {
		a.Mode = b.Mode
	}
	if b.UID != nil {
		a.UID = b.UID
	}
	if b.GID != nil {
		a.GID = b.GID
	}
	return a
}

// asSet returns the image's record with what waits for it.
func (f *FS) asSet(img image.Image) image.Image { return withSet(img, f.unsent.of(img.ID)) }

// withSet returns the image's record with attributes over those that it has.
func withSet(img image.Image, set image.Attributes) image.Image {
	if set.IsZero() {
		return img
	}
	properties := maps.Clone(img.Properties)
	if properties == nil {
		properties = make(map[string]string, 1)
	}
	properties[image.PropertyAttributes] = overlaid(img.Attributes(), set).Encode(img.ID)
	img.Properties = properties
	return img
}
