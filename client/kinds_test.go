package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

func TestKindOfStatus(t *testing.T) {
	for _, c := range []struct {
		op     op
		status int
		detail string
		want   image.Kind
	}{
		{opGet, 404, "", image.NotFound}, {opGet, 401, "", image.Credentials}, {opGet, 403, "", image.Forbidden},
		{opGet, 302, "", image.UnexpectedAnswer}, {opGet, 405, "", image.UnexpectedAnswer}, {opGet, 418, "", image.UnexpectedAnswer},
		{opGet, 500, "", image.Unavailable}, {opGet, 599, "", image.Unavailable}, {opGet, 429, "", image.Unavailable},
		{opList, 404, "", image.UnexpectedAnswer}, {opList, 410, "", image.UnexpectedAnswer}, {opList, 409, "", image.UnexpectedAnswer},
		{opList, 413, "", image.UnexpectedAnswer}, {opCreate, 409, "", image.Exists}, {opUpdate, 409, "", image.Busy},
		{opDelete, 409, "", image.Busy}, {opCreate, 413, "too many", image.Quota}, {opUpload, 413, "too large", image.Full},
		{opUpload, 413, "exceeds the QUOTA", image.Quota}, {opUpload, 400, "", image.Rejected}, {opUpload, 415, "quota", image.Rejected},
		{opSpan, 416, "", image.Corrupt}, {opUsage, 404, "", image.Unsupported}, {opStores, 404, "", image.Unsupported},
	} {
		if got := kindOfStatus(c.op, c.status, c.detail); got != c.want {
			t.Errorf("%s %d %q: %v, want %v", c.op, c.status, c.detail, got, c.want)
		}
	}
}

func TestKindOfTransport(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	read := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	for _, c := range []struct {
		err  error
		want image.Kind
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "x"}), image.Unreachable},
		{dial(syscall.ECONNREFUSED), image.Unreachable}, {dial(syscall.EHOSTUNREACH), image.Unreachable},
		{dial(syscall.ENETUNREACH), image.Unreachable}, {dial(os.ErrDeadlineExceeded), image.Unreachable},
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), image.NoDescriptors}, {dial(os.NewSyscallError("socket", syscall.ENFILE)), image.NoDescriptors},
		{read(syscall.ECONNRESET), image.Unavailable}, {io.ErrUnexpectedEOF, image.Unavailable}, {io.EOF, image.Unavailable},
		{x509.UnknownAuthorityError{}, image.Untrusted}, {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, image.Untrusted},
		{fmt.Errorf("x: %w", errStalled), image.Stalled}, {&image.Error{Kind: image.Quota}, image.Quota}, {context.Canceled, image.Interrupted},
	} {
		if got := kindOfTransport(t.Context(), fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := kindOfTransport(ctx, errors.New("x")); got != image.Interrupted {
		t.Errorf("cancelled: %v", got)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	if got := kindOfTransport(ctx, errors.New("x")); got != image.Stalled {
		t.Errorf("out of time: %v", got)
	}
}

func TestDetail(t *testing.T) {
	for body, want := range map[string]string{
		"<html>\n <head>\n  <title>409 Conflict</title>\n </head>\n <body>\n  <h1>409 Conflict</h1>\n  Image status transition from active to saving is not allowed<br /><br />\n\n\n\n </body>\n</html>": "Image status transition from active to saving is not allowed",
		"<html><body>a &lt;b&gt; &amp; c</body></html>":                                      "a <b> & c",
		`{"error": {"code": 401, "message": "The request\nfails", "title": "Unauthorized"}}`: "The request fails",
		`{"badRequest": {"message": "m"}}`:                                                   "m",
		`{"message": "over a limit", "code": "413"}`:                                         "over a limit",
		`{"other": "thing"}`:                                                                 `{"other": "thing"}`,
		"  plain \x00\x1b[31m text \n":                                                       "plain [31m text",
		"":                                                                                   "",
		"\xff\xfe bad":                                                                       "bad",
	} {
		if got := detail([]byte(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	long := detail([]byte(strings.Repeat("é", maxErrorBody)))
	if n := utf8.RuneCountInString(long); n != maxDetail+1 {
		t.Errorf("%d runes", n)
	}
}
