package localdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links may lie on a way; the kernel follows as many.
const maxLinks = 40

// checkWay refuses a directory, or a way to it, in which others could put something else
// in the place of what lies on the way: a directory of theirs, or one that they may write
// to and that is not sticky, as /tmp is. Links on the way are followed. Where the way
// ends before the directory is all right: the rest is made.
func checkWay(dir string, uid int) error {
	left := strings.Split(strings.Trim(dir, "/"), "/")
	at := "/"
	links := 0
	for {
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !trusted(owner(info), uid):
			return &Refusal{at, fmt.Sprintf("belongs to uid %d, who could put another directory in its place: chown it if it is to be yours", owner(info))}
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return &os.PathError{Op: "open", Path: dir, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			left = append(strings.Split(strings.Trim(filepath.Clean(target), "/"), "/"), left...)
			at = "/"
			continue
		case !info.IsDir():
			return &Refusal{at, "is not a directory: move it away"}
		case open(info):
			return &Refusal{at, fmt.Sprintf("can be written to by others (mode %04o), who could put another directory in the place of what is in it: chmod go-w it if it is yours", info.Mode().Perm())}
		}
		for len(left) > 0 && left[0] == "" { // the root itself
			left = left[1:]
		}
		if len(left) == 0 {
			return nil
		}
		at, left = filepath.Join(at, left[0]), left[1:]
	}
}

// open reports whether others may take away what is in the directory. Where users have
// groups of their own, and with them an umask of 002, theirs have group write.
func open(info fs.FileInfo) bool {
	mode := info.Mode()
	stat, ok := info.Sys().(*syscall.Stat_t)
	own := ok && int(stat.Gid) == os.Getegid()
	return mode&fs.ModeSticky == 0 && (mode&0o002 != 0 || mode&0o020 != 0 && !own)
}

// trusted reports whether an owner of a directory on the way may do anything anyway.
func trusted(owner, uid int) bool {
	return owner == 0 || owner == uid || owner == os.Geteuid() || owner == unmapped()
}

// unmapped is who root of the host is in a user namespace that does not know them; −1
// outside of such.
func unmapped() int {
	text, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) == 3 && fields[2] == "4294967295" { // everybody is known
		return -1
	}
	text, err = os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return -1
	}
	uid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return uid
}

// owner is the directory's; −1 where it has none.
func owner(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
