package staging

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want image.Kind
	}{
		{syscall.ENOSPC, image.LocalFull}, {syscall.EDQUOT, image.LocalFull}, {syscall.EFBIG, image.TooLarge},
		{syscall.EMFILE, image.NoDescriptors}, {syscall.ENFILE, image.NoDescriptors},
		{os.ErrClosed, image.Stale}, {syscall.EINVAL, image.Rejected}, {syscall.EOPNOTSUPP, image.Unsupported},
		{context.Canceled, image.Interrupted}, {context.DeadlineExceeded, image.Stalled},
		{&image.Error{Kind: image.Quota, Err: syscall.ENOSPC}, image.Quota}, {errors.New("x"), image.Other},
	} {
		err := fail("write", "name", &os.PathError{Op: "open", Path: "p", Err: c.err})
		if got := image.KindOf(err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if err := fail("write", "name", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
