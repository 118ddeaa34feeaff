package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may go through, as in the kernel.
const maxLinks = 40

// locate makes a path absolute and follows its links, as far as that touches no mount of
// ours, which a dead or stuck daemon would not answer. A path into a mount is divided:
// the mountpoint, and what is below it, as it is written. Of any other path below is "";
// what is missing or may not be read of it counts as being no link.
func locate(path string) (at, below string, err error) {
	if !filepath.IsAbs(path) {
		here, err := unix.Getwd() // os.Getwd would look at it
		if err != nil {
			return "", "", fail(exitUsage, "%w: name it with its whole path", err)
		}
		path = filepath.Join(here, path)
	}
	path = filepath.Clean(path)
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return "", "", fail(exitInternal, "%w: the mount table cannot be read", err)
	}
	mine := make(map[string]bool)
	for _, m := range all { // in the order of mounting: the last one is on top
		mine[m.Mountpoint] = m.FSType == fsType
	}
	at, rest, links := "/", parts(path), 0
	for len(rest) > 0 && !mine[at] {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		to := ""
		if !mine[next] {
			to, _ = os.Readlink(next) // as said above
		}
		if to == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", "", fail(exitUsage, "%s: %w", path, unix.ELOOP)
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(parts(to), rest...)
	}
	return at, filepath.Join(rest...), nil
}

// parts are the names that a path consists of. In that of a link, what is before a ".."
// may be a link too, and so is not cleaned away.
func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
