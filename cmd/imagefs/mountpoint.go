package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// checkMountpoint says before any request whether path can be mounted on, and
// returns its canonical form: absolute, without symbolic links.
func checkMountpoint(path string) (string, error) {
	if path == "" {
		return "", fail(exitUsage, "the mountpoint is empty: name a directory")
	}
	abs, below, err := locate(path)
	if err != nil {
		return "", err
	}
	if below != "" {
		return "", fail(exitMountDenied, "%s lies in the mount %s: name a directory outside of it", filepath.Join(abs, below), abs)
	}
	if err := checkFree(abs); err != nil { // before any stat: a dead mount answers none
		return "", err
	}
	canonical, err := filepath.EvalSymlinks(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fail(exitNoMountpoint, "the mountpoint %s does not exist: create it with mkdir -p %s", abs, abs)
	case errors.Is(err, unix.ENOTCONN):
		return "", fail(exitMountBusy, "%s is, or lies in, a dead mount: unmount it first with imagefs unmount --force", abs)
	case errors.Is(err, unix.ENOTDIR):
		return "", fail(exitNotDirectory, "%s: a part of the path is not a directory: name one", abs)
	case err != nil:
		return "", fail(exitMountDenied, "%w: name a mountpoint that you can reach", err)
	}
	if !utf8.ValidString(canonical) { // a daemon is told by JSON, and says it in JSON and to Prometheus
		return "", fail(exitUsage, "the path of the mountpoint %s is not UTF-8: name another directory", canonical)
	}
	return canonical, checkDirectory(canonical)
}

// checkDirectory refuses what is not an empty directory of ours.
func checkDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(exitMountDenied, "%w: name a mountpoint that you can reach", err)
	case !info.IsDir():
		return fail(exitNotDirectory, "the mountpoint %s is not a directory: name an empty directory", path)
	case unix.Access(path, unix.W_OK) != nil, stickyOfOthers(info):
		return fail(exitMountDenied, "%s is not yours to write to, and so not to mount on: name a directory that is", path)
	}
	dir, err := os.Open(path)
	if err != nil {
		return fail(exitMountDenied, "%w: name a mountpoint that you can read", err)
	}
	defer dir.Close() // read only: closing cannot lose anything
	switch names, err := dir.Readdirnames(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fail(exitMountDenied, "%w: name a mountpoint that you can read", err)
	default:
		return fail(exitNotEmpty, "the mountpoint %s is not empty (it has %q): a mount would hide its files, name an empty directory", path, names[0])
	}
}

// stickyOfOthers is a directory such as /tmp, which fusermount3 lets only its
// owner mount on.
func stickyOfOthers(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	return ok && info.Mode()&fs.ModeSticky != 0 && uid != 0 && int(stat.Uid) != uid
}

// checkFree refuses a path at which a FUSE mount is on top. Mounts of other kinds may be
// mounted over: an autofs trigger and a container's bind mount are meant for it.
func checkFree(path string) error {
	top, err := topMount(path)
	if err != nil || top == nil || !strings.HasPrefix(top.FSType, "fuse") {
		return err
	}
	return fail(exitMountBusy, "%s is mounted already (%s): unmount it first with imagefs unmount %s", path, top.FSType, path)
}
