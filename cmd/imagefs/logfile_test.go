package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/localdir"
)

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "x.log")
	turns := 0
	l, err := openLog(path, 100, func(*os.File) error { turns++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 39) + "\n"
	for range 7 {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{path: 1, path + ".1": 2} {
		text, err := os.ReadFile(name)
		if err != nil || strings.Count(string(text), "\n") != want {
			t.Errorf("%s has %d lines, %v; want %d", name, strings.Count(string(text), "\n"), err, want)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if turns != 4 {
		t.Errorf("stderr followed the file %d times, want 4", turns)
	}
	// A restart goes on in the file.
	l, err = openLog(path, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestLogRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "file", "x"), filepath.Join(dir, "link")} {
		if _, err := openLog(path, 1, nil); codeOf(err) != exitLocalDir || !strings.Contains(err.Error(), "mount with --foreground") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whatever is wrong with a local directory, its error says what to do: how the directory
// is mended, and what to do instead.
func TestLocalFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{&localdir.Refusal{Dir: "/d", Why: "is not a directory: move it away"}, "/d is not a directory: move it away; or name another"},
		{&os.PathError{Op: "mkdir", Path: "/d", Err: os.ErrPermission}, "mkdir /d: permission denied: make it usable, or name another"},
	} {
		if err := localFailure(c.err, "name another"); codeOf(err) != exitLocalDir || err.Error() != c.says {
			t.Errorf("%v, exit code %d; want %q", err, codeOf(err), c.says)
		}
	}
}

func TestLogPath(t *testing.T) {
	user := config.Host{UID: 1, StateHome: "/s"}
	a, b := logPath(user, "/mnt/a-b"), logPath(user, "/mnt/a/b")
	if a == b || !strings.HasPrefix(a, "/s/imagefs/log/mnt-a-b-") || !strings.HasSuffix(a, ".log") {
		t.Errorf("%s, %s", a, b)
	}
	if got := logPath(config.Host{}, "/m"); !strings.HasPrefix(got, "/var/log/imagefs/m-") {
		t.Errorf("root: %s", got)
	}
	long := logPath(user, "/"+strings.Repeat("ä/", 3000))
	if len(filepath.Base(long)) > 255-len(".1") {
		t.Errorf("%d bytes", len(filepath.Base(long)))
	}
}
