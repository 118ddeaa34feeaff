package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	typeData = "application/octet-stream"
	// expectFrom is the size from which an upload asks before it sends: Glance
	// answers 401, 409 and 410 before it reads, and "100 Continue" when it
	// does read, so a refusal costs a header instead of the whole transfer.
	// Below, the question costs more than the bytes.
	expectFrom = 1 << 20
)

// Upload sends size bytes as the data of a queued image. body makes a reader of
// them, from the start, each time that it is called; it is called again only when
// the service has not taken a byte (no connection, 401, 429, 503, a connection
// that broke before the first byte: if the record is then found busy with that
// try, it is Unavailable) or has refused them all (see import.go). No reader is
// used after Upload has returned. Everything else is for the caller, who must look
// at the record: after Unavailable, Stalled, Unreachable or Interrupted the data may
// have been accepted. Kinds: Rejected (400, 415), Full, Quota, Busy (not queued),
// NotFound (deleted meanwhile), Protected, Foreign, Forbidden, and those of every
// request; an error of the reader keeps its own kind.
func (c *Client) Upload(ctx context.Context, id string, size int64, body func() io.Reader) error {
	if err := checkID(opUpload, id); err != nil {
		return err
	}
	if c.imports.Load() {
		return c.importData(ctx, id, size, body)
	}
	requestID, err := c.transfer(ctx, opUpload, id, size, body)
	switch err = c.whyForbidden(ctx, id, err); {
	case image.Is(err, image.Forbidden):
		return c.importInstead(ctx, id, size, body, err)
	case err != nil:
		return err
	}
	c.logChange(ctx, opUpload, id, requestID, slog.Int64("bytes", size))
	return nil
}

// resources are where data is sent to, below the image.
var resources = map[op]string{opUpload: "/file", opStage: "/stage"}

// transfer sends the data to the resource of o, and returns the id of the request
// that was answered.
func (c *Client) transfer(ctx context.Context, o op, id string, size int64, body func() io.Reader) (string, error) {
	var requestID string
	var broken error // an earlier try, of which the service may have seen the header
	err := c.do(ctx, &request{op: o, image: id}, unsent, func() error {
		token := c.session.token()
		resp, taken, err := c.put(ctx, o, id, size, body, token)
		if err == nil && resp.StatusCode == http.StatusUnauthorized {
			// The service has refused whatever it was sent.
			if token, err = c.renewed(ctx, o, id, token, resp); err == nil {
				resp, taken, err = c.put(ctx, o, id, size, body, token)
			}
		}
		if err != nil {
			broken = err
			return err
		}
		requestID = resp.Header.Get(headerRequestID)
		if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
			_ = resp.Body.Close() // a 204 has none
			return nil
		}
		err = c.refusal(o, id, resp)
		var a *answerError
		if taken > 0 && errors.As(err, &a) {
			a.final = true
		}
		if broken != nil && image.Is(err, image.Busy) {
			// Glance sets the status before it reads; a worker that died then leaves
			// "saving" for ever.
			return &image.Error{Op: string(o), Image: id, Kind: image.Unavailable, Detail: "a try that was cut off holds the record", Err: err}
		}
		return err
	})
	return requestID, err
}

// put sends the data once, and returns the answer and how many bytes were taken
// before it came.
func (c *Client) put(ctx context.Context, o op, id string, size int64, body func() io.Reader, token string) (*http.Response, int64, error) {
	source := newSource(body())
	// The length is set below, and net/http must not find a way to rewind.
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+"/images/"+id+resources[o], source)
	if err != nil {
		return nil, 0, &image.Error{Op: string(o), Image: id, Kind: image.Other, Err: err}
	}
	req.ContentLength, req.GetBody = size, nil
	if size == 0 {
		req.Body = http.NoBody // a length of 0 with a body means "unknown"
	}
	c.headers(req, token)
	req.Header.Set("Content-Type", typeData)
	// Glance from 2025.2 tells the store beforehand. Others ignore it.
	req.Header.Set("X-Openstack-Image-Size", strconv.FormatInt(size, 10))
	if c.options.Store != "" {
		req.Header.Set("X-Image-Meta-Store", c.options.Store)
	}
	if size >= expectFrom {
		req.Header.Set("Expect", "100-continue")
	}
	began := time.Now()
	resp, err := c.upload.Do(req)
	ended(ctx, c.options.Observer, o, began, resp, err)
	taken, sourceErr := source.stop()
	if err != nil {
		if sourceErr != nil {
			return nil, 0, &image.Error{Op: string(o), Image: id, Kind: image.KindOf(sourceErr), Detail: "the data cannot be read", Err: sourceErr}
		}
		k := kindOfTransport(ctx, err)
		if taken > 0 && taken < size && k == image.Unreachable {
			k = image.Unavailable // it was there when it took the first bytes
		}
		cause, _ := c.plainCause(err) // no upload follows a redirect
		return nil, 0, &image.Error{Op: string(o), Image: id, Kind: k, Err: &transportError{sent: taken > 0, err: cause}}
	}
	return resp, taken, nil
}

// source guards the caller's reader: net/http may read a body after it has
// returned the answer, and closes it when it likes.
type source struct {
	reader io.Reader
	// turn holds one element while a read is under way or after stop. It is a
	// channel and not a mutex because the read may wait for a network.
	turn  chan struct{}
	taken int64 // bytes
	err   error // of the reader, other than io.EOF
}

func newSource(r io.Reader) *source { return &source{reader: r, turn: make(chan struct{}, 1)} }

var errStopped = errors.New("the upload is over")

func (s *source) Read(p []byte) (int, error) {
	select {
	case s.turn <- struct{}{}:
	default: // stopped: net/http reads from one goroutine
		return 0, errStopped
	}
	defer func() { <-s.turn }()
	n, err := s.reader.Read(p)
	s.taken += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Close does nothing: the reader is the caller's.
func (s *source) Close() error { return nil }

// stop waits for a read under way, which is bounded by the reader, and lets no
// other begin. It returns how many bytes were taken, and the reader's error.
func (s *source) stop() (int64, error) {
	s.turn <- struct{}{}
	return s.taken, s.err
}
