package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/localdir"
	"github.com/imagefs/imagefs/staging"
)

// host looks at FUSE and the kernel.
func (d *doctor) host(h fuseHost, c config.Config) {
	err := h.checkFUSE()
	switch {
	case err != nil:
		d.bad("FUSE", err)
	case h.uid == 0:
		d.ok("FUSE", "%s can be used, and root mounts by itself", h.device)
	default:
		d.ok("FUSE", "%s can be used, and fusermount3 mounts", h.device)
	}
	if c.AllowOther {
		if err := h.checkAllowOther(); err != nil {
			d.bad("sharing", err)
		} else {
			d.ok("sharing", "other users may be let in (--allow-other)")
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		d.note("kernel", "cannot be asked: %v", err)
		return
	}
	release := unix.ByteSliceToString(name.Release[:])
	switch {
	case h.uid != 0:
		d.note("kernel", "Linux %s: for users it reads ahead by 128 KiB, and no cached image directly; mount as root for more", release)
	case !passesThrough(release):
		d.note("kernel", "Linux %s: cached images are read through the daemon; since Linux 6.9 they are read directly", release)
	default:
		d.ok("kernel", "Linux %s: cached images can be read directly (passthrough)", release)
	}
}

// passesThrough reports whether a kernel of that release has FUSE passthrough: Linux 6.9
// brought it (Documentation/filesystems/fuse-passthrough.rst).
func passesThrough(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 9
}

// directories looks at the cache, at staging, and at where a daemon logs.
func (d *doctor) directories(c config.Config) {
	if c.CacheSize == 0 {
		d.note("cache", "there is none on disk (--cache-size 0)")
	} else if free, err := roomIn(c.CacheDir, true); err != nil {
		d.bad("cache", localFailure(err, "name another directory with --cache-dir"))
	} else if free < c.CacheSize {
		d.note("cache", "%s: %s are free, less than the %s that it may take: it stays smaller", c.CacheDir, sizeText(free), sizeText(c.CacheSize))
	} else {
		d.ok("cache", "%s: may take %s, and %s are free", c.CacheDir, sizeText(c.CacheSize), sizeText(free))
	}
	if !c.Foreground {
		if _, err := roomIn(filepath.Dir(logPath(configHost(), "")), false); err != nil {
			d.bad("log", localFailure(err, "mount with --foreground"))
		}
	}
	free, err := roomIn(c.StagingDir, false)
	if err != nil {
		d.bad("staging", localFailure(err, "name another directory with --staging-dir"))
		return
	}
	drafts, err := staging.Survey(c.StagingDir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		d.bad("staging", fail(localCode(err), "%w", err))
	case len(drafts) > 0:
		d.note("staging", "%s: %s are free for files being written, and %d files wait there: imagefs staged list", c.StagingDir, sizeText(free), len(drafts))
	default:
		d.ok("staging", "%s: %s are free for files being written", c.StagingDir, sizeText(free))
	}
}

// roomIn is how many bytes are free where the directory is or would be made, if this user
// may write there. link: it may be one.
func roomIn(dir string, link bool) (int64, error) {
	if link {
		resolved, err := localdir.Resolve(dir)
		if err != nil {
			return 0, err
		}
		dir = resolved
	}
	if err := localdir.Check(dir, os.Geteuid()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
				return 0, &os.PathError{Op: "write to", Path: dir, Err: err}
			}
			return int64(st.Bavail) * st.Frsize, nil
		}
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
		dir = filepath.Dir(dir)
	}
}

func sizeText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
