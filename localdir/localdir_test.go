package localdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const stranger = 12345 // a uid that is nobody's here

// Each way in which another user could have the directory, or get it, is refused, and
// the message names what is wrong. dir is top/way/dir; what is done to them is by root.
func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("these tests give directories to other users: run them as root")
	}
	for name, c := range map[string]struct {
		spoil func(way, dir string) error
		says  string // "" is accepted
	}{
		"private":          {func(_, _ string) error { return nil }, ""},
		"readable":         {func(_, dir string) error { return os.Chmod(dir, 0o755) }, ""},
		"symbolic link":    {func(way, dir string) error { return errors.Join(os.Rename(dir, way+"/real"), os.Symlink("real", dir)) }, "dir is a symbolic link"},
		"dangling link":    {func(_, dir string) error { return errors.Join(os.Remove(dir), os.Symlink("nowhere", dir)) }, "dir is a symbolic link"},
		"file":             {func(_, dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }, "dir is not a directory"},
		"another's":        {func(_, dir string) error { return os.Chown(dir, stranger, -1) }, "dir does not belong to uid 0"},
		"group-writable":   {func(_, dir string) error { return os.Chmod(dir, 0o770) }, "dir can be written to by others (mode 0770)"},
		"world-writable":   {func(_, dir string) error { return os.Chmod(dir, os.ModeSticky|0o777) }, "dir can be written to by others (mode 0777)"},
		"in another's":     {func(way, _ string) error { return os.Chown(way, stranger, -1) }, "way belongs to uid 12345"},
		"in an open one":   {func(way, _ string) error { return os.Chmod(way, 0o777) }, "way can be written to by others"},
		"in a group's":     {func(way, _ string) error { return errors.Join(os.Chown(way, -1, stranger), os.Chmod(way, 0o770)) }, "way can be written to by others"},
		"in a sticky one":  {func(way, _ string) error { return os.Chmod(way, os.ModeSticky|0o777) }, ""},
		"in the own group": {func(way, _ string) error { return errors.Join(os.Chown(way, -1, os.Getegid()), os.Chmod(way, 0o770)) }, ""},
		"missing in an open one": {func(way, dir string) error {
			return errors.Join(os.Remove(dir), os.Chmod(way, 0o777))
		}, "way can be written to by others"},
		"by a link of ours": {func(way, _ string) error {
			return errors.Join(os.Rename(way, way+"2"), os.Symlink(way+"2", way))
		}, ""},
		"by another's link": {func(way, _ string) error {
			return errors.Join(os.Rename(way, way+"2"), os.Symlink(way+"2", way), os.Lchown(way, stranger, -1))
		}, "way belongs to uid 12345"},
		"by a link into an open one": {func(way, _ string) error {
			open := filepath.Join(filepath.Dir(way), "open")
			return errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Rename(way, open+"/way2"), os.Symlink("open/way2", way))
		}, "open can be written to by others"},
		"by a link to itself": {func(way, dir string) error {
			return errors.Join(os.Remove(dir), os.Remove(way), os.Symlink("way", way))
		}, "too many levels of symbolic links"},
		"below a file": {func(way, dir string) error {
			return errors.Join(os.Remove(dir), os.Remove(way), os.WriteFile(way, nil, 0o600))
		}, "way is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			way := filepath.Join(t.TempDir(), "way")
			dir := filepath.Join(way, "dir")
			must(t, os.MkdirAll(dir, Mode))
			must(t, c.spoil(way, dir))
			for what, err := range map[string]error{"Make": Make(dir, nil), "Check": Check(dir, 0)} {
				switch {
				case c.says == "" && err != nil:
					t.Errorf("%s: %v", what, err)
				case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
					t.Errorf("%s: %v does not say %q", what, err, c.says)
				}
				if r := (*Refusal)(nil); errors.As(err, &r) && !strings.Contains(r.Why, ": ") {
					t.Errorf("%s: %v does not say what to do", what, err)
				}
			}
		})
	}
}

// A link is followed to a directory of the user's, if nobody else could have it lead
// elsewhere. dir is top/way/dir, and leads to top/real/dir.
func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(way, real string) error
		says  string // "" is accepted
	}{
		"link of ours":        {func(_, _ string) error { return nil }, ""},
		"another's link":      {func(way, _ string) error { return os.Lchown(way+"/dir", stranger, -1) }, "dir belongs to uid 12345"},
		"in an open one":      {func(way, _ string) error { return os.Chmod(way, 0o777) }, "way can be written to by others"},
		"into an open one":    {func(_, real string) error { return os.Chmod(real, 0o777) }, "real can be written to by others"},
		"to another's":        {func(_, real string) error { return os.Chown(real+"/dir", stranger, -1) }, "dir belongs to uid 12345"},
		"to an open one":      {func(_, real string) error { return os.Chmod(real+"/dir", os.ModeSticky|0o777) }, "dir can be written to by others"},
		"to a missing one":    {func(_, real string) error { return os.Remove(real + "/dir") }, "dir is a symbolic link"},
		"to itself":           {func(way, _ string) error { return errors.Join(os.Remove(way+"/dir"), os.Symlink("dir", way+"/dir")) }, "too many levels of symbolic links"},
		"missing, to be made": {func(way, _ string) error { return os.Remove(way + "/dir") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			way, real := filepath.Join(top, "way"), filepath.Join(top, "real")
			must(t, errors.Join(os.Mkdir(way, Mode), os.MkdirAll(filepath.Join(real, "dir"), Mode), os.Symlink("../real/dir", filepath.Join(way, "dir"))))
			must(t, c.spoil(way, real))
			dir, err := Resolve(filepath.Join(way, "dir"))
			if err == nil {
				err = Make(dir, nil)
			}
			switch {
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v does not say %q", err, c.says)
			case c.says == "" && (err != nil || name == "link of ours" && dir != filepath.Join(real, "dir")):
				t.Errorf("%q, %v", dir, err)
			}
		})
	}
}

// What is missing is made for this user alone, whatever the umask, and told from below.
func TestMake(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b")
	if err := Check(dir, os.Geteuid()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	var told []string
	made := func(parent string) error { told = append(told, parent); return nil }
	for range 2 { // the second time it is there
		must(t, Make(dir, made))
		if want := []string{filepath.Join(top, "a"), top}; !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
	}
	for _, each := range []string{dir, filepath.Dir(dir)} {
		info, err := os.Stat(each)
		must(t, err)
		if info.Mode() != os.ModeDir|Mode {
			t.Errorf("%s has mode %v", each, info.Mode())
		}
	}
	broken := errors.New("broken")
	if err := Make(filepath.Join(dir, "c"), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}
