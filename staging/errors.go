package staging

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/imagefs/imagefs/image"
)

// fail wraps err for the image (or draft) named, with the kind that its cause
// decides. An *image.Error (a Base's) keeps its kind. A nil err stays nil.
func fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &image.Error{Op: op, Image: name, Kind: kindOf(err), Err: err}
}

func kindOf(err error) image.Kind {
	var known *image.Error
	switch {
	case errors.As(err, &known):
		return known.Kind
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return image.LocalFull
	case errors.Is(err, syscall.EFBIG):
		return image.TooLarge
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return image.NoDescriptors
	case errors.Is(err, os.ErrClosed):
		return image.Stale
	case errors.Is(err, syscall.EINVAL):
		return image.Rejected
	case errors.Is(err, syscall.EOPNOTSUPP):
		return image.Unsupported
	case errors.Is(err, context.Canceled):
		return image.Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return image.Stalled
	default:
		return image.Other
	}
}
