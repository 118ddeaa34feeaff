package image

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Kind is the cause of a failure, as far as it decides what a caller does next.
// HTTP and transport become a Kind in client, a Kind becomes an errno in fs, and
// nothing else maps.
type Kind uint8

// The kinds of error. The comment names the errno that fs gives to each.
const (
	Other            Kind = iota // EIO: a cause without a word of its own
	NotFound                     // ENOENT: no such image, or gone
	Stale                        // ESTALE: the image behind an open handle or a looked-up entry is gone or another
	Credentials                  // EACCES: 401 after re-authentication
	IdentityAway                 // EIO: 401 while Keystone does not answer
	Rejected                     // EINVAL: the service refuses the content or a value (400, 415)
	Forbidden                    // EACCES: 403, also data of a deactivated image
	Protected                    // EPERM: the image is protected
	Foreign                      // EPERM: the image belongs to another project
	NotPermitted                 // EPERM: an operation that is never allowed here
	Busy                         // EBUSY: 409, in use or the status does not allow it yet
	Quota                        // EDQUOT: 413 and the service says quota
	Full                         // ENOSPC: 413 otherwise
	Corrupt                      // EIO: bytes do not match their hash, range or length
	Stalled                      // EIO: no progress within the watchdog's time
	Unreachable                  // EHOSTUNREACH: nothing answered
	Unavailable                  // EIO: 5xx or 429 after all retries
	NoRanges                     // never reaches the kernel: the store serves whole streams only
	Interrupted                  // EINTR: the waiting process has a signal pending
	LocalFull                    // ENOSPC: the local disk of the staging directory is full
	TooLarge                     // EFBIG: longer than a file of the staging directory can be
	NoData                       // EBUSY: queued, saving, importing: no bytes to be had yet
	Unsupported                  // EOPNOTSUPP: a volume-backed snapshot
	ReadOnly                     // EROFS: the mount is read-only
	InvalidName                  // EINVAL: a name that the service cannot hold
	NameTooLong                  // ENAMETOOLONG
	Exists                       // EEXIST
	UnexpectedAnswer             // EIO: an answer that is not the Image API v2
	Misconfigured                // never reaches the kernel: unknown cloud, missing credentials, bad settings
	Untrusted                    // EIO: the certificate of the service does not verify
	NoDescriptors                // ENFILE: this process, or the system, may open no more files and connections
)

var kindNames = [...]string{
	Other: "failed", NotFound: "not found", Stale: "stale", Credentials: "credentials refused",
	IdentityAway: "identity service does not answer", Rejected: "refused",
	Forbidden: "forbidden", Protected: "protected", Foreign: "owned by another project",
	NotPermitted: "not permitted", Busy: "busy", Quota: "over quota", Full: "store full",
	Corrupt: "corrupt", Stalled: "stalled", Unreachable: "unreachable", Unavailable: "unavailable",
	NoRanges: "store serves no ranges", Interrupted: "interrupted", LocalFull: "local disk full",
	TooLarge: "too large for the local disk", NoData: "no data yet", Unsupported: "unsupported", ReadOnly: "read-only",
	InvalidName: "invalid name", NameTooLong: "name too long", Exists: "exists",
	UnexpectedAnswer: "unexpected answer", Misconfigured: "not configured", Untrusted: "certificate not trusted",
	NoDescriptors: "no file descriptors left",
}

// String names the kind in a few words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown kind"
}

// Error is a failure with its kind, the operation, the image and, where one was
// made, the request it came from.
type Error struct {
	Op        string // what was tried: "upload", "open span", "lookup"
	Image     string // id or name of the image; "" when none is concerned
	Kind      Kind
	RequestID string // x-openstack-request-id; "" when no answer came
	Detail    string // the service's own sentence, or ours; "" when Err says it all
	Err       error  // the cause; may be nil
}

// Error names operation, image, kind, detail, cause and request in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Image != "" {
		b.WriteString(" image " + e.Image)
	}
	b.WriteString(": " + e.Kind.String())
	if e.Detail != "" {
		b.WriteString(": " + strings.Join(strings.Fields(e.Detail), " "))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return strings.Map(noLineBreak, b.String()) // names and causes may hold anything
}

func noLineBreak(r rune) rune {
	switch r {
	case '\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return ' '
	}
	return r
}

// Unwrap returns the cause. A failure is never the end of a file: where a connection
// ended too early, so that the cause is io.EOF, it cannot be taken for one.
func (e *Error) Unwrap() error {
	if errors.Is(e.Err, io.EOF) {
		return early{e.Err}
	}
	return e.Err
}

// early is a cause with io.EOF in its chain, which does not show.
type early struct{ error }

func (c early) Is(target error) bool { return target != io.EOF && errors.Is(c.error, target) }
func (c early) As(target any) bool   { return errors.As(c.error, target) }

// KindOf returns the kind of the outermost Error in err's chain. A cancelled or
// expired context without an Error around it is Interrupted or Stalled.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return Stalled
	default:
		return Other
	}
}

// Is reports whether err is of the given kind; a nil err is of none.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
