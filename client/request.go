package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	headerToken     = "X-Auth-Token"
	headerRequestID = "X-Openstack-Request-Id"
	typeJSON        = "application/json"
	// maxRecord bounds one record: 128 properties of 64 KiB each are 8 MiB.
	maxRecord = 16 << 20
	// maxPage bounds a page of the listing: 1000 usual records have 630 KB.
	maxPage = 64 << 20
	// bodyAhead is the most memory that is taken for an answer before it has come: a
	// usual page of the listing fits.
	bodyAhead = 1 << 20
	// maxRetryAfter is what a larger or senseless Retry-After counts as; no
	// budget waits that long.
	maxRetryAfter = time.Hour
)

// request is one request to the Image service, which may be tried several times.
type request struct {
	op          op
	image       string // id, for errors
	method      string
	path        string // below Service(), beginning with a slash
	query       url.Values
	header      map[string]string
	contentType string
	body        []byte // sent with every try
	ok          []int  // statuses that are success
	limit       int64  // most bytes of an answer
}

// answer is a successful one, read whole.
type answer struct {
	status    int
	body      []byte
	requestID string
	tries     int
}

// fail makes the error of this request.
func (r *request) fail(k image.Kind, cause error) *image.Error {
	return &image.Error{Op: string(r.op), Image: r.image, Kind: k, Err: cause}
}

// fetch makes the request under the policy and reads the answer whole.
func (c *Client) fetch(ctx context.Context, r *request, p policy) (answer, error) {
	var a answer
	err := c.do(ctx, r, p, func() error {
		a.tries++
		resp, err := c.send(ctx, r)
		if err != nil {
			return err
		}
		a.status, a.requestID = resp.StatusCode, resp.Header.Get(headerRequestID)
		if resp.ContentLength > r.limit {
			_ = resp.Body.Close() // nobody wants all of it
			return r.fail(image.UnexpectedAnswer, errAnswerTooLarge)
		}
		body := bytes.NewBuffer(make([]byte, 0, max(0, min(resp.ContentLength, bodyAhead))+bytes.MinRead))
		_, err = body.ReadFrom(io.LimitReader(resp.Body, r.limit+1))
		a.body = body.Bytes()
		_ = resp.Body.Close() // it was read, or its failure is already known
		switch {
		case err != nil:
			return r.fail(kindOfTransport(ctx, err), &transportError{sent: true, err: err})
		case int64(len(a.body)) > r.limit:
			return r.fail(image.UnexpectedAnswer, errAnswerTooLarge)
		}
		return nil
	})
	return a, err
}

// retrying logs that a request will be tried again.
func (c *Client) retrying(ctx context.Context, r *request) func(error, time.Duration) {
	return func(err error, wait time.Duration) {
		c.options.Observer.Retried(string(r.op))
		c.log.Log(ctx, image.FailureLevel(ctx, slog.LevelWarn), "request failed, trying again", "error", err, "wait", wait)
	}
}

// send makes one try, and a second one with a new token after a 401. Any status
// that is not success is an error; the body of a success is the caller's.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	token := c.session.token()
	resp, err := c.try(ctx, r, token)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		if token, err = c.renewed(ctx, r.op, r.image, token, resp); err != nil {
			return nil, err
		}
		if resp, err = c.try(ctx, r, token); err != nil {
			return nil, err
		}
	}
	if slices.Contains(r.ok, resp.StatusCode) {
		return resp, nil
	}
	return nil, c.refusal(r.op, r.image, resp)
}

// renewed closes a 401 and returns a new token, or the error of the request that
// had it.
func (c *Client) renewed(ctx context.Context, o op, id, token string, resp *http.Response) (string, error) {
	requestID := resp.Header.Get(headerRequestID)
	readDetail(resp) // the same for every reason
	fresh, err := c.session.renew(ctx, token)
	if err == nil {
		return fresh, nil
	}
	return "", &image.Error{Op: string(o), Image: id, Kind: image.KindOf(err), RequestID: requestID, Err: err}
}

// try sends the request once.
func (c *Client) try(ctx context.Context, r *request, token string) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(traced, r.method, target, body)
	if err != nil {
		return nil, r.fail(image.Other, err)
	}
	c.headers(req, token)
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	began := time.Now()
	resp, err := c.plain.Do(req)
	ended(ctx, c.options.Observer, r.op, began, resp, err)
	if err != nil {
		cause, away := c.plainCause(err)
		return nil, r.fail(kindOfTransport(ctx, err), &transportError{sent: sent.Load(), away: away, err: cause})
	}
	if resp.Request == nil || !c.elsewhere(resp.Request.URL) {
		c.clock.read(resp.Header)
	}
	return resp, nil
}

// headers are those of every request. Identity, because a compressed range has
// other bytes than those that were asked for.
func (c *Client) headers(req *http.Request, token string) {
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", c.options.UserAgent)
	if token != "" {
		req.Header.Set(headerToken, token)
	}
}

// refusal reads an answer that is not success into an error, and closes it.
func (c *Client) refusal(o op, id string, resp *http.Response) error {
	words := readDetail(resp)
	if resp.StatusCode/100 == 3 {
		words = "" // they repeat the address, whose query may be the right to read the bytes
	}
	k := kindOfStatus(o, resp.StatusCode, words)
	if k == image.NotFound && c.identifies && resp.Header.Get(headerRequestID) == "" {
		// Of a proxy that has lost the service: of the image it says nothing.
		k, words = image.Unavailable, fmt.Sprintf("%d, and not by the Image service itself", resp.StatusCode)
	}
	if words == "" || k == image.UnexpectedAnswer {
		words = fmt.Sprintf("%d %s %s", resp.StatusCode, http.StatusText(resp.StatusCode), words)
	}
	return &image.Error{
		Op: string(o), Image: id, Kind: k, RequestID: resp.Header.Get(headerRequestID), Detail: words,
		Err: &answerError{
			status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After")),
			away: resp.Request != nil && c.elsewhere(resp.Request.URL),
		},
	}
}

// retryAfter reads the header's two forms, seconds and a date.
func retryAfter(text string) time.Duration {
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(date), 0), maxRetryAfter)
	}
	return 0
}

// statusOf returns the status that an error came from, 0 if from none.
func statusOf(err error) int {
	var a *answerError
	if errors.As(err, &a) {
		return a.status
	}
	return 0
}

// plainCause takes off what net/http's errors say of the URL beyond host and path: the
// query of one that the service has redirected to may be the right to read the bytes. Of
// a failure of ours it takes off all, which says what was tried in other words. It reports
// whether the failure is another host's than the service's.
func (c *Client) plainCause(err error) (cause error, away bool) {
	var u *url.Error
	if !errors.As(err, &u) {
		return err, false
	}
	plain := &url.Error{Op: u.Op, URL: "URL", Err: u.Err}
	if target, err := url.Parse(u.URL); err == nil {
		away = c.elsewhere(target)
		plain.URL = (&url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path}).String()
	}
	if errors.Is(u.Err, errStalled) {
		return errStalled, away
	}
	return plain, away
}

// elsewhere reports whether a URL is not the service's.
func (c *Client) elsewhere(u *url.URL) bool {
	base, err := url.Parse(c.base)
	return err == nil && !sameHost(base, u)
}
