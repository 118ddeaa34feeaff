package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/imagefs/imagefs/localdir"
)

// runtimeDirs are where the daemons of a user may have their sockets, the
// preferred one first. A cron job or a su session lacks XDG_RUNTIME_DIR, so that
// all of them have to be looked at.
func runtimeDirs(uid int, getenv func(string) string) []string {
	if uid == 0 {
		return []string{"/run/imagefs"}
	}
	var dirs []string
	if dir := getenv("XDG_RUNTIME_DIR"); uid == os.Geteuid() && filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "imagefs"))
	}
	if dir := filepath.Join("/run/user", strconv.Itoa(uid), "imagefs"); len(dirs) == 0 || dirs[0] != dir {
		dirs = append(dirs, dir)
	}
	return append(dirs, filepath.Join(os.TempDir(), "imagefs-"+strconv.Itoa(uid)))
}

// socketSuffix ends the names of sockets.
const socketSuffix = ".sock"

// socketName is the file name of a mountpoint's socket: a hash, because a path
// may be longer than the 107 bytes that an address holds.
func socketName(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return hex.EncodeToString(sum[:8]) + socketSuffix
}

// makeRuntimeDir makes the first directory that can be made, and refuses one that
// others could write to.
func makeRuntimeDir(dirs []string) (string, error) {
	var why error
	for i, dir := range dirs {
		if i < len(dirs)-1 { // only what lies below an existing directory: /run/user/N is made by login
			if _, err := os.Stat(filepath.Dir(dir)); err != nil {
				why = errors.Join(why, err)
				continue
			}
		}
		err := os.Mkdir(dir, localdir.Mode)
		if err == nil || errors.Is(err, fs.ErrExist) {
			err = private(dir)
		}
		if err == nil {
			return dir, nil
		}
		why = errors.Join(why, err)
	}
	do := "set XDG_RUNTIME_DIR to a directory of your own"
	if os.Geteuid() == 0 {
		do = "make " + filepath.Dir(dirs[len(dirs)-1]) + " a directory that can be written to"
	}
	return "", fail(exitLocalDir, "no directory for the status socket: %w: %s", why, do)
}

// private refuses a directory that others could write to, and keeps them from looking
// into it: a socket has its mode only a moment after it is there.
func private(dir string) error {
	if err := localdir.Check(dir, os.Geteuid()); err != nil {
		return err
	}
	return os.Chmod(dir, localdir.Mode)
}
