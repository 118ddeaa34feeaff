package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/adrg/xdg"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
)

// fuseHost is where the machine keeps what FUSE needs; tests give others.
type fuseHost struct {
	device   string // the character device of FUSE
	conf     string // what fusermount3 permits to users
	uid      int
	lookPath func(string) (string, error)
}

func thisHost() fuseHost {
	return fuseHost{device: "/dev/fuse", conf: "/etc/fuse.conf", uid: os.Geteuid(), lookPath: exec.LookPath}
}

// configHost is what the defaults of the configuration depend on.
func configHost() config.Host {
	return config.Host{UID: os.Geteuid(), GID: os.Getegid(), StateHome: xdg.StateHome, CacheHome: xdg.CacheHome}
}

// checkFUSE says before any request whether a mount can work here.
func (h fuseHost) checkFUSE() error {
	info, err := os.Stat(h.device)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(exitNoFUSE, "%s does not exist: load the module with modprobe fuse; in a container, pass --device /dev/fuse", h.device)
	case err != nil:
		return fail(exitNoFUSE, "%w: FUSE cannot be used", err)
	case info.Mode()&fs.ModeCharDevice == 0:
		return fail(exitNoFUSE, "%s is not a device: load the module with modprobe fuse; in a container, pass --device /dev/fuse", h.device)
	}
	device, err := os.OpenFile(h.device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fail(exitNoFUSE, "%w: the kernel has no FUSE: load the module with modprobe fuse", err)
	case err != nil:
		return fail(exitNoFUSE, "%w: you may not use FUSE: ask for access to %s; in a container, pass --device /dev/fuse", err, h.device)
	}
	if err := device.Close(); err != nil {
		return fail(exitNoFUSE, "%w: FUSE cannot be used", err)
	}
	if h.uid == 0 {
		return nil // root mounts by itself
	}
	for _, name := range []string{"fusermount3", "fusermount"} {
		if _, err := h.lookPath(name); err == nil {
			return nil
		}
	}
	return fail(exitNoFUSE, "fusermount3 is not in the PATH, and only root mounts without it: install the package fuse3")
}

// checkAllowOther refuses --allow-other where fusermount3 would.
func (h fuseHost) checkAllowOther() error {
	if h.uid == 0 {
		return nil
	}
	allowed, err := confAllowsOther(h.conf)
	switch {
	case err != nil:
		return fail(exitAllowOther, "%w: --allow-other needs the line user_allow_other in %s", err, h.conf)
	case !allowed:
		return fail(exitAllowOther, "--allow-other is not permitted: add the line user_allow_other to %s as root, or leave out --allow-other", h.conf)
	}
	return nil
}

// confAllowsOther reads fuse.conf as fusermount3 does: the word must stand alone
// on its line.
func confAllowsOther(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // read only: closing cannot lose anything
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "user_allow_other" {
			return true, nil
		}
	}
	return false, lines.Err()
}
