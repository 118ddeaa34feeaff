package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/config"
)

func TestAllowOther(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	for _, tc := range []struct {
		text string
		uid  int
		want exitCode
	}{
		{"# user_allow_other\n", 1000, exitAllowOther},
		{"#user_allow_other", 1000, exitAllowOther},
		{"mount_max = 10\nuser_allow_other_not\n", 1000, exitAllowOther},
		{"", 1000, exitAllowOther},
		{"mount_max = 10\n user_allow_other # yes\n", 1000, exitOK},
		{"user_allow_other", 1000, exitOK},
		{"", 0, exitOK},
	} {
		if err := os.WriteFile(conf, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := fuseHost{conf: conf, uid: tc.uid}.checkAllowOther()
		if codeOf(err) != tc.want {
			t.Errorf("%q as %d: %v", tc.text, tc.uid, err)
		}
		if err != nil && !strings.Contains(err.Error(), "add the line user_allow_other to "+conf) {
			t.Errorf("does not say what to do: %v", err)
		}
	}
	if err := (fuseHost{conf: conf + ".none", uid: 1}).checkAllowOther(); codeOf(err) != exitAllowOther {
		t.Errorf("without the file: %v", err)
	}
}

func TestCheckFUSE(t *testing.T) {
	found := func(string) (string, error) { return "/bin/true", nil }
	missing := func(string) (string, error) { return "", errors.New("none") }
	file := filepath.Join(t.TempDir(), "fuse")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		host fuseHost
		want string
	}{
		{"no device", fuseHost{device: file + ".none", lookPath: found}, "does not exist: load the module with modprobe fuse; in a container, pass --device /dev/fuse"},
		{"a file", fuseHost{device: file, lookPath: found}, "is not a device"},
		{"no helper", fuseHost{device: "/dev/null", uid: 1000, lookPath: missing}, "fusermount3 is not in the PATH, and only root mounts without it: install the package fuse3"},
		{"root needs no helper", fuseHost{device: "/dev/null", lookPath: missing}, ""},
		{"helper", fuseHost{device: "/dev/null", uid: 1000, lookPath: found}, ""},
	} {
		err := tc.host.checkFUSE()
		if tc.want == "" && err != nil || tc.want != "" && (codeOf(err) != exitNoFUSE || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestCheckMountpoint(t *testing.T) {
	w := t.TempDir()
	empty, full, file := filepath.Join(w, "empty"), filepath.Join(w, "full"), filepath.Join(w, "file")
	for _, dir := range []string{empty, full, filepath.Join(full, "x")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(w, "link")
	if err := os.Symlink(empty, link); err != nil {
		t.Fatal(err)
	}
	canonical, err := filepath.EvalSymlinks(empty)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]exitCode{
		empty: exitOK, empty + "/": exitOK, link: exitOK,
		"": exitUsage, filepath.Join(w, "none"): exitNoMountpoint, filepath.Join(empty, "a", "b"): exitNoMountpoint,
		file: exitNotDirectory, filepath.Join(file, "x"): exitNotDirectory, full: exitNotEmpty,
	} {
		got, err := checkMountpoint(path)
		if codeOf(err) != want {
			t.Errorf("%q: %v, want code %d", path, err, want)
		}
		if want == exitOK && got != canonical {
			t.Errorf("%q is %q, want %q", path, got, canonical)
		}
	}
	t.Chdir(empty)
	if got, err := checkMountpoint("."); err != nil || got != canonical {
		t.Errorf("the working directory: %q, %v", got, err)
	}
}

func TestPrepareOrder(t *testing.T) {
	h := fuseHost{device: "/nonexistent", conf: "/nonexistent", uid: 1000}
	dir := t.TempDir()
	if _, err := prepare(h, config.Config{AllowOther: true}, filepath.Join(dir, "none")); codeOf(err) != exitNoMountpoint {
		t.Errorf("%v", err)
	}
	if _, err := prepare(h, config.Config{AllowOther: true}, dir); codeOf(err) != exitNoFUSE {
		t.Errorf("%v", err)
	}
	h.device = "/dev/null"
	h.lookPath = func(string) (string, error) { return "", nil }
	if _, err := prepare(h, config.Config{AllowOther: true}, dir); codeOf(err) != exitAllowOther {
		t.Errorf("%v", err)
	}
	if _, err := prepare(h, config.Config{}, dir); err != nil {
		t.Errorf("%v", err)
	}
}
