package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestKindNames(t *testing.T) {
	seen := map[string]Kind{}
	for k := range Kind(len(kindNames)) {
		name := k.String()
		if name == "" || name == Kind(255).String() {
			t.Errorf("kind %d has no name", k)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("kinds %d and %d are both %q", k, other, name)
		}
		seen[name] = k
	}
	if NoDescriptors.String() != "no file descriptors left" || int(NoDescriptors)+1 != len(kindNames) {
		t.Error("the last kind is not the last name")
	}
}

func TestKindOf(t *testing.T) {
	inner := &Error{Op: "open span", Kind: NotFound}
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, Other},
		{errors.New("x"), Other},
		{context.Canceled, Interrupted},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), Stalled},
		{inner, NotFound},
		{fmt.Errorf("wrapped: %w", inner), NotFound},
		{&Error{Op: "commit", Kind: Stale, Err: inner}, Stale},          // the outermost decides
		{&Error{Op: "commit", Kind: Busy, Err: context.Canceled}, Busy}, // also over a context
		{errors.Join(errors.New("x"), inner), NotFound},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
		if c.err != nil && !Is(c.err, c.want) {
			t.Errorf("%v is not %v", c.err, c.want)
		}
	}
	if Is(nil, Other) {
		t.Error("no error is of a kind")
	}
	if cause := errors.New("x"); !errors.Is(&Error{Err: cause}, cause) {
		t.Error("the cause is not unwrapped")
	}
}

// A connection that ends too early must not look like the end of a file to whoever
// reads it: the reader would take what came so far for all there is.
func TestFailureIsNoEndOfFile(t *testing.T) {
	inner := &url.Error{Op: "Get", URL: "http://service/", Err: io.EOF}
	err := error(&Error{Op: "commit", Err: fmt.Errorf("read: %w", &Error{Op: "open span", Kind: Unavailable, Err: inner})})
	if errors.Is(err, io.EOF) {
		t.Error("a failure is the end of a file")
	}
	if !errors.Is(err, inner) {
		t.Error("the cause is gone")
	}
	var transport *url.Error
	if !errors.As(err, &transport) || transport != inner {
		t.Error("the cause's type is gone")
	}
	if !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the text does not name the cause: %v", err)
	}
	if !Is(errors.Unwrap(err), Unavailable) {
		t.Error("the kind of the cause is gone")
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{Op: "list"}, "list: failed"},
		{Error{Op: "lookup", Image: "disk", Kind: NotFound}, "lookup image disk: not found"},
		{
			Error{Op: "upload", Image: "id", Kind: Full, Detail: "no room", Err: errors.New("413"), RequestID: "req-1"},
			"upload image id: store full: no room: 413 (request req-1)",
		},
		{Error{Op: "upload", Kind: Rejected, Detail: "<html>\n  <p>bad\r\n\trequest</p>"}, "upload: " + Rejected.String() + ": <html> <p>bad request</p>"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Whatever a service, a cause or a name says, an error is one line.
func FuzzErrorIsOneLine(f *testing.F) {
	f.Add("upload", "disk", "two\nlines", "cause\r\nwith lines", "req")
	f.Add("a\vb", "a\fb", "a\u2028b", "a\x85b", "a\u2029b")
	f.Fuzz(func(t *testing.T, op, name, detail, cause, request string) {
		err := &Error{Op: op, Image: name, Detail: detail, Err: errors.New(cause), RequestID: request}
		if text := err.Error(); strings.ContainsAny(text, "\n\r\v\f\u0085\u2028\u2029") {
			t.Errorf("%q", text)
		}
	})
}

func TestCaller(t *testing.T) {
	if _, ok := CallerOf(context.Background()); ok {
		t.Error("a caller from nowhere")
	}
	want := Caller{UID: 1, PID: 2, Command: "cp"}
	got, ok := CallerOf(WithCaller(context.Background(), want))
	if !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("changed", "caller", want)
	if !strings.Contains(b.String(), "caller.uid=1 caller.pid=2 caller.command=cp") {
		t.Errorf("logged as %s", b.String())
	}
}
