package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/imagefs/imagefs/image"
)

// op names an operation in errors and in the log.
type op string

const (
	opConfigure    op = "configure"
	opAuthenticate op = "authenticate"
	opDiscover     op = "discover"
	opList         op = "list"
	opGet          op = "get"
	opPermission   op = "ask whether data may be read"
	opSpan         op = "open span"
	opWhole        op = "open"
	opCreate       op = "create"
	opUpload       op = "upload"
	opStage        op = "stage"
	opImport       op = "import"
	opMethods      op = "list import methods"
	opTasks        op = "list tasks"
	opUpdate       op = "update"
	opDelete       op = "delete"
	opMembers      op = "list members"
	opAddMember    op = "add member"
	opRemoveMember op = "remove member"
	opUsage        op = "usage"
	opStores       op = "list stores"
)

// statusKinds is what a status means unless exceptions has the operation. Any
// status that is in neither is UnexpectedAnswer below 500, else Unavailable.
var statusKinds = map[int]image.Kind{
	http.StatusBadRequest:                   image.Rejected,
	http.StatusUnauthorized:                 image.Credentials,
	http.StatusForbidden:                    image.Forbidden,
	http.StatusNotFound:                     image.NotFound,
	http.StatusRequestTimeout:               image.Unavailable,
	http.StatusConflict:                     image.Busy,
	http.StatusGone:                         image.NotFound,
	http.StatusRequestEntityTooLarge:        image.Full, // image.Quota when the service says so
	http.StatusRequestURITooLong:            image.Rejected,
	http.StatusUnsupportedMediaType:         image.Rejected,
	http.StatusRequestedRangeNotSatisfiable: image.Corrupt,
	http.StatusUnprocessableEntity:          image.Rejected,
	http.StatusTooManyRequests:              image.Unavailable,
	http.StatusRequestHeaderFieldsTooLarge:  image.Rejected,
	http.StatusNotImplemented:               image.Unsupported,
	http.StatusInsufficientStorage:          image.Full,
}

type opStatus struct {
	op     op
	status int
}

var exceptions = map[opStatus]image.Kind{
	{opCreate, http.StatusConflict}: image.Exists,
	// At create and update 413 means too many properties, tags or images,
	// which are limits of the project, never a full store.
	{opCreate, http.StatusRequestEntityTooLarge}:    image.Quota,
	{opUpdate, http.StatusRequestEntityTooLarge}:    image.Quota,
	{opAddMember, http.StatusRequestEntityTooLarge}: image.Quota,
	// What is missing here is the service, not an image.
	{opDiscover, http.StatusNotFound}: image.UnexpectedAnswer,
	{opDiscover, http.StatusGone}:     image.UnexpectedAnswer,
	{opList, http.StatusNotFound}:     image.UnexpectedAnswer,
	{opList, http.StatusGone}:         image.UnexpectedAnswer,
	// Nor does a listing take room, or wait for somebody.
	{opList, http.StatusConflict}:              image.UnexpectedAnswer,
	{opList, http.StatusRequestEntityTooLarge}: image.UnexpectedAnswer,
	{opUsage, http.StatusNotFound}:             image.Unsupported,
	{opMethods, http.StatusNotFound}:           image.Unsupported,   // older than 2018
	{opTasks, http.StatusNotFound}:             image.Unsupported,   // older than 2021
	{opStores, http.StatusNotFound}:            image.Unsupported,   // it has only one
	{opAuthenticate, http.StatusNotFound}:      image.Misconfigured, // auth_url is not Keystone's
}

// kindOfStatus is the table from HTTP to kind; detail is the service's sentence.
func kindOfStatus(o op, status int, detail string) image.Kind {
	k, ok := exceptions[opStatus{o, status}]
	if !ok {
		k, ok = statusKinds[status]
	}
	switch {
	case !ok && status >= 500:
		return image.Unavailable
	case !ok:
		return image.UnexpectedAnswer
	case k == image.Full && saysQuota(detail):
		return image.Quota
	}
	return k
}

// saysQuota tells the two meanings of 413 apart. The status is the same, so the
// words are all there is: "quota" is Glance's, "over a limit" Keystone's for its
// unified limits.
func saysQuota(detail string) bool {
	detail = strings.ToLower(detail)
	return strings.Contains(detail, "quota") || strings.Contains(detail, "over a limit")
}

// kindOfTransport is the table from a failure without an answer to kind.
func kindOfTransport(ctx context.Context, err error) image.Kind {
	var (
		known    *image.Error
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		dns      *net.DNSError
		network  *net.OpError
	)
	switch {
	case errors.As(err, &known):
		return known.Kind
	case errors.Is(err, errStalled):
		return image.Stalled
	case ctx.Err() != nil:
		return image.KindOf(ctx.Err())
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &hostname),
		errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &alert),
		errors.Is(err, http.ErrSchemeMismatch): // an HTTP server behind https
		return image.Untrusted
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return image.NoDescriptors
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.As(err, &network) && network.Op == "dial":
		return image.Unreachable
	case errors.Is(err, context.Canceled):
		return image.Interrupted
	default: // reset, closed, cut off
		return image.Unavailable
	}
}
