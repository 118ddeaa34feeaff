package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mountFailure says what to do about a mount that the kernel or fusermount3
// refused. The usual causes have been looked for before (mountpoint.go, host.go).
func mountFailure(err error, mountpoint, logFile string) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), os.Geteuid() == 0 && !mayMount():
		return fail(exitMountDenied, "mounting on %s is not permitted: %w (in a container, add the capability SYS_ADMIN and the device /dev/fuse)", mountpoint, err)
	case errors.Is(err, unix.EBUSY):
		return fail(exitMountBusy, "%s is busy: %w (unmount what is mounted there)", mountpoint, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fail(exitNoFUSE, "the kernel has no FUSE: %w (load the module with modprobe fuse)", err)
	default:
		where := "above"
		if logFile != "" {
			where = "in " + logFile
		}
		return fail(exitMountDenied, "mounting on %s was refused: %w (what fusermount3 said about it is %s)", mountpoint, err, where)
	}
}

// mayMount reports whether the process has CAP_SYS_ADMIN; where that cannot be
// told, the kernel's own answer has to do.
func mayMount() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 64 bits in two words
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
