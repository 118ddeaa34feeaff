package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/imagefs/imagefs/image"
)

const (
	// permissionLasts is how long data of an image that the service has given, or its
	// answer to the question for it, counts as permission to download the image: what
	// is opened again and again asks once in that time.
	permissionLasts = time.Minute
	// permissionOutage is how long it counts while the service does not answer: an
	// outage that people work through, and not a day in which nobody can withdraw it.
	permissionOutage = time.Hour
	// permissionWait is how long an open waits for an answer that it could do without.
	permissionWait = 5 * time.Second
	// permissionPause is for how long it is not asked again for the image then.
	permissionPause = 30 * time.Second
	// permissionQueue is how long an open waits for the question of another about the
	// image, which is answered within that time as a rule. Then it asks for itself: a
	// service that is away has to keep nobody longer than one request.
	permissionQueue = time.Second
	// permissionImages is how many images are remembered, at about 200 bytes each.
	permissionImages = 4096
	// byteWait is how long the byte that was asked for is waited for, once the service has
	// answered: it comes with the header, or a store is slow.
	byteWait = 100 * time.Millisecond
)

// A permission is what the service has said of one image.
type permission struct {
	given      time.Time // when the latest request was made that it gave data to; zero: none
	refused    time.Time // when it last refused
	unanswered time.Time // when it last left the question without an answer
}

// permissions remembers which images the service has given data of, and when it was
// asked for them.
type permissions struct {
	asking *keyLock // one question about an image at a time, while it is answered

	mu    sync.Mutex // guards the fields below
	known *simplelru.LRU[string, permission]
	full  bool // something was forgotten
}

func newPermissions() *permissions {
	p := &permissions{asking: newKeyLock()}
	known, err := simplelru.NewLRU(permissionImages, func(string, permission) { p.full = true })
	if err != nil { // only a size that is not positive is refused
		panic(err)
	}
	p.known = known
	return p
}

// give notes that data was given to a request made at this time. A refusal since then
// is the later word.
func (p *permissions) give(id string, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Peek(id)
	if asked.Before(known.refused) {
		return
	}
	known.given = later(known.given, asked)
	p.known.Add(id, known)
}

// withdraw forgets the permission, not that there was one.
func (p *permissions) withdraw(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.Add(id, permission{refused: time.Now()})
}

// age is how long ago the permission was given; longer than any time that it lasts
// where there is none.
func (p *permissions) age(id string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(id)
	if known.given.IsZero() {
		return 1 << 62
	}
	return time.Since(known.given)
}

func (p *permissions) unanswered(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Peek(id)
	known.unanswered = time.Now()
	p.known.Add(id, known)
}

// pausing reports that the service has just left the question for this image without an
// answer. It may have one for others: the store may be to blame.
func (p *permissions) pausing(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Peek(id)
	return time.Since(known.unanswered) < permissionPause
}

// HasAsked reports whether this client may have had data of the image, or have asked
// whether it may.
func (c *Client) HasAsked(id string) bool {
	p := c.permissions
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full || p.known.Contains(id)
}

// MayRead asks whether these credentials may download the image now, for bytes that
// come from elsewhere: it requests the first one. Data that the service has given
// within the last minute, to whatever request, is an answer, but not of an image that
// is not active. While the service does not say, what it has given this client of the
// image within an hour counts. Kinds: Forbidden, NotFound, and those of every request.
func (c *Client) MayRead(ctx context.Context, img image.Image) error {
	if err := checkID(opPermission, img.ID); err != nil {
		return err
	}
	active := img.Status == image.StatusActive
	if img.Size == 0 || active && c.permissions.age(img.ID) < permissionLasts {
		return nil
	}
	queue, cancel := context.WithTimeout(ctx, permissionQueue)
	defer cancel()
	if unlock, err := c.permissions.asking.lock(queue, img.ID); err == nil {
		defer unlock()
	} else if ctx.Err() != nil {
		return spanError(opPermission, img, image.KindOf(ctx.Err()), ctx.Err())
	}
	age := c.permissions.age(img.ID) // another may have asked while we waited
	spare := active && age < permissionOutage
	if active && age < permissionLasts || spare && c.permissions.pausing(img.ID) {
		return nil
	}
	limited := ctx
	if spare {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(image.Briefly(ctx), permissionWait)
		defer cancel()
	}
	asked := time.Now()
	err := c.askForData(limited, img)
	switch {
	case err == nil:
		c.permissions.give(img.ID, asked)
		return nil
	case spare && ctx.Err() == nil && noAnswer(err):
		c.permissions.unanswered(img.ID)
		c.log.Warn("the service does not say whether the image may be read; it has given its data before", "image", img.ID, "ago", age.Round(time.Second), "error", err)
		return nil
	case refused(err):
		c.permissions.withdraw(img.ID)
	}
	return err
}

// noAnswer reports whether an error says nothing of the permission.
func noAnswer(err error) bool {
	switch image.KindOf(err) {
	case image.Unreachable, image.Unavailable, image.Stalled, image.IdentityAway, image.NoDescriptors:
		return true
	}
	return false
}

// refused reports whether the service has refused data, for now or for ever.
func refused(err error) bool {
	switch image.KindOf(err) {
	case image.Forbidden, image.NotFound, image.Credentials:
		return true
	}
	return false
}

// askForData requests the first byte of an image. The status is the answer: Glance looks
// at its policy first. Where the store serves no ranges it answers 400, for it looks at the
// range when it begins to send, and 204 where the store has no data, as of an image that is
// being deleted.
func (c *Client) askForData(ctx context.Context, img image.Image) error {
	r := &request{
		op: opPermission, image: img.ID, method: http.MethodGet, path: "/images/" + img.ID + "/file",
		header: map[string]string{"Range": "bytes=0-0"},
		ok:     []int{http.StatusOK, http.StatusPartialContent, http.StatusNoContent, http.StatusBadRequest},
	}
	return c.do(ctx, r, idempotent, func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.send(ctx, r)
		if err != nil {
			return err
		}
		defer resp.Body.Close() // what it has to say is in its status
		switch resp.StatusCode {
		case http.StatusBadRequest, http.StatusNoContent:
			if c.identifies && resp.Header.Get(headerRequestID) == "" {
				return r.fail(image.Unavailable, fmt.Errorf("%d, and not by the Image service itself", resp.StatusCode))
			}
			if resp.StatusCode == http.StatusBadRequest {
				c.ranges.remember(img.ID)
			}
		case http.StatusPartialContent:
			defer time.AfterFunc(byteWait, cancel).Stop()
			_, _ = io.CopyN(io.Discard, resp.Body, 1) // so that the connection can be used again
		}
		return nil
	})
}
