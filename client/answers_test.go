package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/imagefs/imagefs/image"
)

// canned answers every request with one answer.
type canned struct {
	status int
	header http.Header
	body   []byte
}

func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close() // what is asked does not matter
	}
	return &http.Response{
		StatusCode: c.status, Status: http.StatusText(c.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header.Clone(), Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: req,
	}, nil
}

// onlyOnce are retries without any.
var onlyOnce = retries{first: time.Millisecond, most: time.Millisecond, budget: 1, dialBudget: 1}

// answered is a client of a service that has only one answer.
func answered(t tester, answer canned) *Client {
	c := bare(t, Options{}, "http://service.example")
	c.plain.Transport, c.upload.Transport, c.retries = answer, answer, onlyOnce
	return c
}

// wantSound makes sure that an error is one that users may see.
func wantSound(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *image.Error
	if !errors.As(err, &e) {
		t.Errorf("%T is no error of an image: %v", err, err)
	}
	if text := err.Error(); strings.ContainsAny(text, "\n\r\v\f\u0085\u2028\u2029") {
		t.Errorf("%q", text)
	}
}

// asks are all requests whose answers are read, but for those of a listing and of an
// upload.
var asks = []func(context.Context, *Client) error{
	func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, someID); return err },
	func(ctx context.Context, c *Client) error { _, err := c.Members(ctx, someID); return err },
	func(ctx context.Context, c *Client) error { _, err := c.Usage(ctx); return err },
	func(ctx context.Context, c *Client) error { _, err := c.Stores(ctx); return err },
	func(ctx context.Context, c *Client) error { _, err := c.offersImport(ctx); return err },
	func(ctx context.Context, c *Client) error { c.importTasks(ctx, someID); return nil },
	func(ctx context.Context, c *Client) error { return c.discover(ctx, c.base) },
	func(ctx context.Context, c *Client) error {
		_, err := c.Create(ctx, image.New{ID: someID, Name: "n"})
		return err
	},
	func(ctx context.Context, c *Client) error {
		_, err := c.Update(ctx, someID, []image.Change{{Field: "name", Value: "n"}})
		return err
	},
	func(ctx context.Context, c *Client) error { return c.Delete(ctx, someID) },
	func(ctx context.Context, c *Client) error { return c.AddMember(ctx, someID, "p") },
}

// FuzzAnswer: whatever the service answers to a request, it ends, and an error is one
// that users may see.
func FuzzAnswer(f *testing.F) {
	for which, body := range []string{
		fullRecord, `{"members": [{"member_id": "p", "status": "accepted"}], "schema": "/v2/schemas/members"}`,
		`{"usage": {"image_size_total": {"usage": 5, "limit": -1}}}`, `{"stores": [{"id": "fast", "default": "true"}, {"id": "slow", "read-only": true}]}`,
		`{"import-methods": {"type": "array", "value": ["glance-direct", "web-download"]}}`,
		`{"tasks": [{"id": "x", "status": "failure", "message": "no", "updated_at": "2026-11-22T00:38:57Z"}]}`,
		`{"versions": [{"id": "v2.16", "status": "CURRENT", "links": []}]}`, record(someID, ""), record(someID, ""), ``, `{"member_id": "p"}`,
	} {
		f.Add(which, 200, "req-1", "", []byte(body))
	}
	f.Add(1, 409, "req-1", "5", []byte(`{"members": [{"member_id": "p"}]}`))
	f.Add(0, 503, "", "Sun, 22 Nov 2026 00:38:57 GMT", []byte(`<html><head>x</head><body><h1>503</h1>no &lt; <br/>\r\nservice`))
	f.Add(2, 413, "a\x85b", "-1", []byte(`{"overLimit": {"message": "over a limit\n", "code": 413}}`))
	f.Add(7, 401, "", "", []byte(`{"error": {"message": 5, "title": "Unauthorized"}}`))
	f.Fuzz(func(t *testing.T, which, status int, request, after string, body []byte) {
		header := http.Header{headerRequestID: {request}, "Retry-After": {after}, "Date": {after}}
		c := answered(t, canned{statusFrom(status), header, body})
		wantSound(t, asks[uint(which)%uint(len(asks))](t.Context(), c))
	})
}

// FuzzDetail: the service's sentence is one line of bounded printable text.
func FuzzDetail(f *testing.F) {
	for _, seed := range []string{`{"message": "a\nb"}`, `{"error": {"message": "x"}}`, "<html><title>t</title><body>a&#0;b<br>c", "plain\x00\xff", strings.Repeat("中", 2*maxDetail), `{"message": {}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := detail(body)
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxDetail+1 || text != oneLine(text) && !strings.HasSuffix(text, "…") {
			t.Errorf("%q", text)
		}
		if strings.ContainsAny(text, "\n\r\t\x00\x1b\u2028") || strings.Contains(text, "  ") {
			t.Errorf("%q", text)
		}
	})
}

// FuzzContentRange: only the one answer that was asked for is let through.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 5-9/20", "bytes 5-9/*", "bytes */20", "bytes 05-9/20", "bytes=5-9/20", "", "bytes 5-9/20/20", "bytes +5-9/20"} {
		f.Add(seed, int64(5), int64(10), int64(20))
	}
	f.Fuzz(func(t *testing.T, header string, from, end, total int64) {
		if from < 0 || end <= from || total < end {
			return // nobody asks for that
		}
		if checkContentRange(header, from, end, total) == nil && strings.NewReplacer("+", "", "0", "").Replace(header) !=
			strings.ReplaceAll(fmt.Sprintf("bytes %d-%d/%d", from, end-1, total), "0", "") {
			t.Errorf("%q passes for %d-%d/%d", header, from, end-1, total)
		}
		if err := checkContentRange(fmt.Sprintf("bytes %d-%d/%d", from, end-1, total), from, end, total); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSpan: of whatever answer to a request for bytes, no more comes out than was
// asked for, and a complete one is the answer's.
func FuzzSpan(f *testing.F) {
	f.Add(206, "bytes 5-9/20", []byte("56789"))
	f.Add(200, "", []byte("0123456789abcdefghij"))
	f.Add(206, "bytes 5-9/20", []byte("567"))
	f.Add(416, "bytes */20", []byte("no"))
	f.Add(400, "", []byte("no ranges"))
	f.Fuzz(func(t *testing.T, status int, ranges string, body []byte) {
		c := answered(t, canned{statusFrom(status), http.Header{"Content-Range": {ranges}}, body})
		span, err := c.OpenSpan(t.Context(), active(20), image.Span{Off: 5, Len: 5})
		if wantSound(t, err); err != nil {
			return
		}
		got, err := io.ReadAll(span)
		if wantSound(t, err); err == nil && len(got) != 5 || len(got) > 5 || !bytes.Contains(body, got) {
			t.Errorf("read %q of %q, %v", got, body, err)
		}
		wantSound(t, span.Close())
	})
}

// statusFrom makes a status of any number.
func statusFrom(n int) int {
	if 200 <= n && n <= 599 {
		return n
	}
	return 200 + int(uint(n)%400)
}

// identityStatuses are those after which Keystone is not asked again for a time.
var identityStatuses = []int{http.StatusCreated, http.StatusOK, http.StatusMultipleChoices, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict}

// FuzzIdentity: whatever Keystone answers, the endpoint of the Image service is an
// address or there is an error that users may see.
func FuzzIdentity(f *testing.F) {
	f.Add(0, []byte(`{"token": {"user": {"id": "u", "name": "n"}, "project": {"id": "p", "name": "n"}, "expires_at": "2036-11-22T00:38:57.000000Z",
 "catalog": [{"type": "image", "name": "glance", "endpoints": [{"region": "near", "region_id": "near", "interface": "public", "url": "http://image.example"}]}]}}`))
	f.Add(0, []byte(`{"token": {"catalog": [{"type": "image", "endpoints": [null, {"interface": "public", "url": "%zz"}]}], "project": 5}}`))
	f.Add(1, []byte(`{"versions": {"values": [{"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "http://keystone.example/v3/"}]}]}}`))
	f.Add(3, []byte(`{"error": {"code": 401, "message": "no"}}`))
	f.Add(0, []byte(`null`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		header := http.Header{"X-Subject-Token": {"t"}, "Content-Type": {typeJSON}}
		a := &access{auth: gophercloud.AuthOptions{IdentityEndpoint: "http://keystone.example/v3", Username: "u", Password: "p", TenantName: "n", DomainName: "Default"}}
		s, endpoint, err := newSession(t.Context(), a, &http.Client{Transport: canned{identityStatuses[uint(status)%uint(len(identityStatuses))], header, body}}, Options{}.withDefaults())
		if wantSound(t, err); err != nil {
			return
		}
		defer s.close()
		if root, _, err := canonical(endpoint); err == nil && !strings.HasPrefix(root, "http") {
			t.Errorf("endpoint %q is %q", endpoint, root)
		}
	})
}
