package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/imagefs/imagefs/catalog"
)

// ownMounts returns the mounts of this user, or for root all there are.
func ownMounts() ([]target, error) {
	all, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil {
		return nil, fail(exitInternal, "%w: the mount table cannot be read", err)
	}
	var own []target
	for _, m := range all {
		t := target{path: m.Mountpoint, mount: m}
		if os.Geteuid() != 0 && t.owner() != os.Geteuid() {
			continue
		}
		if !slices.ContainsFunc(own, func(other target) bool { return other.path == t.path }) {
			own = append(own, t)
		}
	}
	return own, nil
}

// theMount returns the only mount of this user; ok is false where there is none.
func theMount() (t target, ok bool, err error) {
	own, err := ownMounts()
	if err != nil {
		return target{}, false, err
	}
	return only(own)
}

func only(own []target) (t target, ok bool, err error) {
	switch len(own) {
	case 0:
		return target{}, false, nil
	case 1:
		return own[0], true, nil
	}
	var paths []string
	for _, t := range own {
		paths = append(paths, t.path)
	}
	return target{}, false, fail(exitUsage, "there are several mounts: name one of %s", strings.Join(paths, ", "))
}

// daemon finds who serves the target.
func (t target) daemon(ctx context.Context) (daemon, error) {
	d, err := findDaemon(ctx, t)
	switch {
	case errors.Is(err, errNoDaemon) && t.mount == nil:
		return daemon{}, t.notMounted()
	case err != nil:
		return daemon{}, t.noDaemon(err)
	}
	return d, nil
}

// inMount divides the path of a file in a mount: the mount, and the entry or, below the
// directory of ids, the id. It does not touch the file. ok is false for other paths.
func inMount(path string) (t target, entry, id string, ok bool, err error) {
	at, below, err := locate(path)
	if err != nil || below == "" {
		return target{}, "", "", false, err
	}
	if t, err = findTarget(at); err != nil || t.mount == nil {
		return target{}, "", "", false, err
	}
	dir, name := filepath.Split(below)
	switch dir {
	case "":
		return t, name, "", true, nil
	case catalog.ByIDEntry + "/":
		return t, "", name, true, nil
	}
	return target{}, "", "", false, nil
}
