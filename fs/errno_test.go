package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

func TestEveryKindHasAnErrno(t *testing.T) {
	n := 0
	for k := image.Kind(0); k.String() != image.Kind(255).String(); k++ {
		n++
		errno, ok := errnos[k]
		if !ok {
			t.Errorf("kind %q has no row", k)
		}
		if errno == 0 {
			t.Errorf("kind %q is a success", k)
		}
	}
	if n != len(errnos) {
		t.Errorf("%d rows for %d kinds", len(errnos), n)
	}
}

// The table of the design.
func TestErrnos(t *testing.T) {
	var log bytes.Buffer
	f := &FS{log: slog.New(slog.NewTextHandler(&log, nil))}
	for k, want := range map[image.Kind]syscall.Errno{
		image.NotFound: syscall.ENOENT, image.Stale: syscall.ESTALE, image.Credentials: syscall.EACCES,
		image.IdentityAway: syscall.EIO, image.Rejected: syscall.EINVAL, image.Forbidden: syscall.EACCES,
		image.Protected: syscall.EPERM, image.Foreign: syscall.EPERM, image.NotPermitted: syscall.EPERM,
		image.Busy: syscall.EBUSY, image.Quota: syscall.EDQUOT, image.Full: syscall.ENOSPC, image.Corrupt: syscall.EIO,
		image.Stalled: syscall.EIO, image.Unreachable: syscall.EHOSTUNREACH, image.Unavailable: syscall.EIO,
		image.Interrupted: syscall.EINTR, image.LocalFull: syscall.ENOSPC, image.NoData: syscall.EBUSY,
		image.Unsupported: syscall.EOPNOTSUPP, image.ReadOnly: syscall.EROFS, image.InvalidName: syscall.EINVAL,
		image.NameTooLong: syscall.ENAMETOOLONG, image.Exists: syscall.EEXIST, image.UnexpectedAnswer: syscall.EIO,
		image.Untrusted: syscall.EIO, image.NoDescriptors: syscall.ENFILE, image.TooLarge: syscall.EFBIG,
	} {
		err := fmt.Errorf("wrapped: %w", &image.Error{Op: "x", Kind: k})
		if got := errnoOf(err); got != want {
			t.Errorf("%v: %v, want %v", k, got, want)
		}
		onHandle, inLookup := want, want
		if k == image.NotFound {
			onHandle = syscall.ESTALE
		}
		if k == image.InvalidName {
			inLookup = syscall.ENOENT
		}
		if got := f.failOpen("read", err); got != onHandle {
			t.Errorf("%v on an open handle: %v, want %v", k, got, onHandle)
		}
		if got := lookupErrno(err); got != inLookup {
			t.Errorf("%v in a lookup: %v, want %v", k, got, inLookup)
		}
	}
	if !strings.Contains(log.String(), `level=WARN msg="read failed" error="read: stale: wrapped: x: not found"`) {
		t.Errorf("an image that is gone from an open handle is not logged: %s", log.String())
	}
	for err, want := range map[error]syscall.Errno{
		nil: 0, errors.New("other"): syscall.EIO, context.Canceled: syscall.EINTR, context.DeadlineExceeded: syscall.EIO,
		&image.Error{Kind: 200}: syscall.EIO,
	} {
		if got := errnoOf(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
