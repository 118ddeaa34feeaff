package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// progressEnough is how much a body must deliver between two breaks for
	// the count of breaks to begin again: a connection that breaks at every
	// packet is not progress.
	progressEnough = 64 << 10
	// wholeRestarts bounds how often a whole stream is begun again and
	// skipped to where it broke, which costs all that was read before.
	wholeRestarts = 2
)

// errShort is a body that ended, without a failure of its connection, before all
// its bytes had come.
var errShort = errors.New("the data ends before the image's size")

// errNoData is the answer 204. Glance takes the data of an image that is being deleted
// out of the store first, and answers so until it has deleted the record, too: a moment,
// or as long as the store takes to free many gigabytes.
var errNoData = errors.New("the service has no data for an image that it calls active")

// OpenSpan opens the bytes [s.Off, s.Off+s.Len) of an image. The reader yields
// exactly s.Len bytes or an error, goes on by itself after a broken connection,
// and must be closed. It holds one of the Streams until then; ctx bounds the
// waiting for it, the opening and all reading. Read is for one goroutine; Close
// may be called from another, and ends a Read. Kinds: NoRanges (remembered for
// the image), NoData, Unsupported, NotFound, Forbidden (deactivated), Corrupt,
// Stalled, Unavailable, and those of every request.
func (c *Client) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	if s.Off < 0 || s.Len < 0 || s.Off > img.Size-s.Len {
		return nil, spanError(opSpan, img, image.Other, fmt.Errorf("the span %d+%d is outside of %d bytes", s.Off, s.Len, img.Size))
	}
	if c.ranges.knows(img.ID) {
		return nil, spanError(opSpan, img, image.NoRanges, nil)
	}
	return c.openReader(ctx, &spanReader{c: c, op: opSpan, img: img, off: s.Off, end: s.End()})
}

// OpenWhole opens all bytes of an image with a plain request, for stores that
// serve no ranges. It yields exactly img.Size bytes or an error; otherwise it is
// as OpenSpan.
func (c *Client) OpenWhole(ctx context.Context, img image.Image) (io.ReadCloser, error) {
	return c.openReader(ctx, &spanReader{c: c, op: opWhole, img: img, end: img.Size, whole: true})
}

func spanError(o op, img image.Image, k image.Kind, cause error) *image.Error {
	return &image.Error{Op: string(o), Image: img.ID, Kind: k, Err: cause}
}

func (c *Client) openReader(ctx context.Context, r *spanReader) (io.ReadCloser, error) {
	if err := checkID(r.op, r.img.ID); err != nil {
		return nil, err
	}
	switch {
	case r.img.VolumeBacked():
		return nil, spanError(r.op, r.img, image.Unsupported, errors.New("the bytes are in volumes"))
	case r.img.Status != image.StatusActive && r.img.Status != image.StatusDeactivated:
		// Glance would answer 204, or 500 to a range.
		return nil, spanError(r.op, r.img, image.NoData, fmt.Errorf("status %s", r.img.Status))
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if r.off == r.end {
		return r, nil
	}
	if err := c.streams.Acquire(r.ctx, 1); err != nil {
		r.cancel()
		return nil, spanError(r.op, r.img, image.KindOf(err), err)
	}
	r.held = true
	body, err := r.open(r.whole)
	if err != nil {
		_ = r.Close() // nothing is open; it gives the stream back
		return nil, err
	}
	r.body = body
	return r, nil
}

// spanReader reads a span, or a whole image.
type spanReader struct {
	c      *Client
	op     op
	img    image.Image
	end    int64 // of the span, bytes in the image
	ctx    context.Context
	cancel context.CancelFunc

	// The next fields belong to Read.
	off        int64 // the next byte to hand out
	whole      bool  // the body is the image's, from its first byte
	restarts   int   // of a whole body
	breaks     int   // since there was progress enough
	progressed int64 // bytes since the last break
	failed     error // what every later Read returns

	mu     sync.Mutex // guards the fields below
	body   io.ReadCloser
	held   bool // one of the streams
	closed bool
}

func (r *spanReader) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	for {
		left := r.end - r.off
		if left == 0 {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		body := r.current()
		if body == nil {
			return 0, spanError(r.op, r.img, image.Interrupted, errors.New("read after close"))
		}
		if err := r.ctx.Err(); err != nil { // net/http goes on with what has come, and tells later
			r.failed = spanError(r.op, r.img, image.KindOf(err), err)
			return 0, r.failed
		}
		n, err := body.Read(p[:min(int64(len(p)), left)])
		r.off += int64(n)
		r.progressed += int64(n)
		if n > 0 {
			return n, nil // the next read meets the error again
		}
		if err == nil {
			continue
		}
		if r.failed = r.resume(err); r.failed != nil {
			return 0, r.failed
		}
	}
}

func (r *spanReader) current() io.ReadCloser {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	return r.body
}

// Close gives the stream back. It may be called several times.
func (r *spanReader) Close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.body != nil {
		_ = r.body.Close() // what is left of the data is not wanted
	}
	if r.held {
		r.c.streams.Release(1)
	}
	return nil
}

// resume opens the rest after the body broke with cause, or returns what Read
// must return.
func (r *spanReader) resume(cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = errShort
	}
	if r.progressed >= progressEnough {
		r.breaks = 0
	}
	r.breaks++
	stalled := errors.Is(cause, errStalled)
	moved := r.progressed > 0
	r.progressed = 0
	final := spanError(r.op, r.img, kindOfTransport(r.ctx, cause), cause)
	final.Detail = fmt.Sprintf("at byte %d of %d", r.off, r.img.Size)
	if errors.Is(cause, errShort) && r.ctx.Err() == nil {
		final.Kind = image.Corrupt
	}
	// A stall has taken its time; it is worth another only on a connection
	// that did work before.
	if r.ctx.Err() != nil || r.breaks > r.c.retries.resumes || (stalled && !moved) {
		return final
	}
	delay := r.c.retries.backoff()
	wait := delay.NextBackOff()
	for range r.breaks - 1 {
		wait = delay.NextBackOff()
	}
	r.c.options.Observer.Retried(string(r.op))
	r.c.log.Warn("data broke off, going on", "image", r.img.ID, "offset", r.off, "error", cause, "wait", wait)
	if err := image.Pause(r.ctx, wait); err != nil {
		return spanError(r.op, r.img, image.KindOf(err), err)
	}
	body, err := r.reopen()
	if err != nil {
		return err
	}
	r.mu.Lock()
	old := r.body
	r.body = body
	closed := r.closed
	r.mu.Unlock()
	_ = old.Close() // it has failed already
	if closed {
		_ = body.Close() // nobody will
		return spanError(r.op, r.img, image.Interrupted, errors.New("closed while reading"))
	}
	return nil
}

// reopen opens the data from the offset on. A whole stream is first tried with a
// range; where there are none it is begun again and skipped.
func (r *spanReader) reopen() (io.ReadCloser, error) {
	if !r.whole || !r.c.ranges.knows(r.img.ID) {
		body, err := r.open(false)
		if !r.whole || !image.Is(err, image.NoRanges) {
			return body, err
		}
	}
	if r.restarts == wholeRestarts {
		return nil, spanError(r.op, r.img, image.Unavailable, fmt.Errorf("the stream broke %d times, the last time at byte %d of %d", r.restarts+1, r.off, r.img.Size))
	}
	r.restarts++
	body, err := r.open(true)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, body, r.off); err != nil {
		_ = body.Close() // it has failed already
		return nil, spanError(r.op, r.img, kindOfTransport(r.ctx, err), err)
	}
	return body, nil
}

// open requests the data from the offset to the end of the span, or, with plain,
// the whole image.
func (r *spanReader) open(plain bool) (io.ReadCloser, error) {
	req := &request{op: r.op, image: r.img.ID, method: http.MethodGet, path: "/images/" + r.img.ID + "/file",
		ok: []int{http.StatusOK, http.StatusNoContent, http.StatusPartialContent}}
	if !plain {
		req.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", r.off, r.end-1)}
	}
	var body io.ReadCloser
	try := func() error {
		asked := time.Now()
		resp, err := r.c.send(r.ctx, req)
		if err != nil {
			if refused(err) {
				r.c.permissions.withdraw(r.img.ID)
			}
			return err
		}
		if err := r.check(resp, plain); err != nil {
			_ = resp.Body.Close() // it is not the data that was asked for
			return err
		}
		r.c.permissions.give(r.img.ID, asked)
		body = resp.Body
		return nil
	}
	err := r.c.do(r.ctx, req, idempotent, func() error {
		err := try()
		if image.Is(err, image.Corrupt) && !errors.Is(err, errNoData) && r.ctx.Err() == nil {
			// A proxy may have mixed up two answers. A service that is wrong is
			// wrong again.
			r.c.log.Warn("other data came than was asked for, asking once more", "error", err)
			err = try()
		}
		return err
	})
	if statusOf(err) == http.StatusBadRequest {
		if plain {
			// Then it was not the range that was refused before.
			r.c.ranges.forget(r.img.ID)
			return nil, err
		}
		// The stores without random access answer so. A proxy might too, for
		// a reason of its own: the plain request that follows will tell.
		r.c.ranges.remember(r.img.ID)
		return nil, spanError(r.op, r.img, image.NoRanges, err)
	}
	return body, err
}

// check makes sure that an answer has the bytes that were asked for.
func (r *spanReader) check(resp *http.Response, plain bool) error {
	bad := func(k image.Kind, cause error) error {
		e := spanError(r.op, r.img, k, cause)
		e.RequestID = resp.Header.Get(headerRequestID)
		return e
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return bad(image.UnexpectedAnswer, fmt.Errorf("the data is encoded as %.40q", enc))
	}
	length := func(want int64) error {
		if resp.ContentLength >= 0 && resp.ContentLength != want {
			return bad(image.Corrupt, fmt.Errorf("the answer has %d bytes instead of %d", resp.ContentLength, want))
		}
		return nil
	}
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return bad(image.Corrupt, errNoData)
	case resp.StatusCode == http.StatusPartialContent && plain:
		return bad(image.Corrupt, errors.New("a part was sent of what was asked for whole"))
	case resp.StatusCode == http.StatusPartialContent:
		if err := checkContentRange(resp.Header.Get("Content-Range"), r.off, r.end, r.img.Size); err != nil {
			return bad(image.Corrupt, err)
		}
		r.whole = false
		return length(r.end - r.off)
	case plain:
		r.whole = true
		return length(r.img.Size)
	}
	// A 200 to a range: the whole image. It will do from the first byte.
	if r.off != 0 || r.end != r.img.Size {
		r.c.ranges.remember(r.img.ID)
	}
	if r.off != 0 {
		return bad(image.NoRanges, nil)
	}
	r.whole = true
	return length(r.img.Size)
}
