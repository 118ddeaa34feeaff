package commit

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// defaultSettle is Options.Settle of who says nothing: as long as a request may take.
	defaultSettle = 60 * time.Second
	// queuedTime is how long a record may still be called queued after an upload
	// whose answer was lost: a service that was cut off needs half a second to put
	// it back from saving, a buffering proxy a moment to begin.
	queuedTime = 3 * time.Second
	// settlePause lies between two looks at a record, one cheap request each.
	settlePause = 500 * time.Millisecond
)

// upload sends the content into the record and checks what became of it.
func (r *run) upload(ctx context.Context, id string) (image.Image, error) {
	var (
		mu   sync.Mutex // guards the field below: a transport asks for bodies from its own goroutine
		last *body
	)
	take := func() io.Reader {
		mu.Lock()
		defer mu.Unlock()
		if last != nil {
			_, _ = last.stop() // what it read of the content, or failed to, is read again
		}
		last = newBody(ctx, r.content(), r.c.expected(), &r.prog.sent, &r.c.sent)
		return last
	}
	r.prog.phase(Uploading)
	err := r.c.service.Upload(ctx, id, r.snap.Size(), take)
	if r.plan.into != nil {
		r.taken(err)
	}
	mu.Lock()
	final := last
	mu.Unlock()
	sent := newSums()
	if final != nil {
		var unread error
		if sent, unread = final.stop(); unread != nil {
			return image.Image{}, unread // the cause of whatever the transport says
		}
	}
	whole := r.prog.sent.Load() == r.snap.Size()
	if err != nil && (!transient(err) || !whole || ctx.Err() != nil) {
		return image.Image{}, err // otherwise only the answer may have been lost
	}
	r.prog.phase(Checking)
	img, err := r.await(ctx, id, err)
	if err != nil {
		return image.Image{}, err
	}
	return img, r.check(ctx, img, sent)
}

// await looks at the record until it is active, or will not become so. failed
// is what the upload said: nil, or a failure that may have lost its answer.
func (r *run) await(ctx context.Context, id string, failed error) (image.Image, error) {
	begun := time.Now()
	for {
		img, err := r.c.service.Get(ctx, id)
		waited := time.Since(begun)
		switch {
		case err != nil && (!transient(err) || waited >= r.c.settle):
			return image.Image{}, orElse(failed, err)
		case err != nil: // look again
		case img.Status == image.StatusActive:
			return img, nil
		case img.Status == image.StatusQueued && waited < queuedTime:
		case inTransit(img.Status, failed) && waited < r.c.settle:
		default:
			return image.Image{}, orElse(failed, &image.Error{Op: "upload", Image: id, Kind: image.Unavailable,
				Detail: "the image does not become active; its status is " + string(img.Status)})
		}
		if err := image.Pause(ctx, settlePause); err != nil {
			return image.Image{}, err
		}
	}
}

// inTransit reports a status that ends by itself. An upload that has failed while
// the service was importing has waited for that.
func inTransit(s image.Status, failed error) bool {
	return s == image.StatusSaving || s == image.StatusImporting && failed == nil
}

// orElse returns the first error that there is.
func orElse(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
