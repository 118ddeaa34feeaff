package fs

import (
	"syscall"

	"github.com/imagefs/imagefs/image"
)

// errnos is the one table from kinds of error to errno. It has a row for every
// kind, also for those that never reach the kernel.
var errnos = map[image.Kind]syscall.Errno{
	image.Other:            syscall.EIO,
	image.NotFound:         syscall.ENOENT,
	image.Stale:            syscall.ESTALE,
	image.Credentials:      syscall.EACCES,
	image.IdentityAway:     syscall.EIO,
	image.Rejected:         syscall.EINVAL,
	image.Forbidden:        syscall.EACCES,
	image.Protected:        syscall.EPERM,
	image.Foreign:          syscall.EPERM,
	image.NotPermitted:     syscall.EPERM,
	image.Busy:             syscall.EBUSY,
	image.Quota:            syscall.EDQUOT,
	image.Full:             syscall.ENOSPC,
	image.Corrupt:          syscall.EIO,
	image.Stalled:          syscall.EIO,
	image.Unreachable:      syscall.EHOSTUNREACH,
	image.Unavailable:      syscall.EIO,
	image.NoRanges:         syscall.EIO,
	image.Interrupted:      syscall.EINTR,
	image.LocalFull:        syscall.ENOSPC,
	image.TooLarge:         syscall.EFBIG,
	image.NoData:           syscall.EBUSY,
	image.Unsupported:      syscall.EOPNOTSUPP,
	image.ReadOnly:         syscall.EROFS,
	image.InvalidName:      syscall.EINVAL,
	image.NameTooLong:      syscall.ENAMETOOLONG,
	image.Exists:           syscall.EEXIST,
	image.UnexpectedAnswer: syscall.EIO,
	image.Misconfigured:    syscall.EIO,
	image.Untrusted:        syscall.EIO,
	image.NoDescriptors:    syscall.ENFILE, // EMFILE would blame the calling process
}

// errnoOf returns the errno of err, 0 for nil.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errnos[image.KindOf(err)]; ok {
		return errno
	}
	return syscall.EIO
}

// lookupErrno is errnoOf for a lookup, where a name that no image can have is
// simply not there.
func lookupErrno(err error) syscall.Errno {
	if image.Is(err, image.InvalidName) {
		return syscall.ENOENT
	}
	return errnoOf(err)
}
