package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocate(t *testing.T) {
	w, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return filepath.Join(w, path) }
	if err := errors.Join(
		os.MkdirAll(at("dir/sub"), 0o755), os.Symlink("dir", at("relative")), os.Symlink(at("relative/sub"), at("absolute")),
		os.Symlink("../../dir", at("dir/sub/up")), os.Symlink("round", at("round")),
	); err != nil {
		t.Fatal(err)
	}
	t.Chdir(at("dir"))
	for path, want := range map[string]string{
		"/": "/", w: w, w + "//dir/": at("dir"), at("none/x"): at("none/x"), at("dir/../dir"): at("dir"),
		at("relative/sub"): at("dir/sub"), at("absolute"): at("dir/sub"), at("absolute/up/sub"): at("dir/sub"), at("absolute/none"): at("dir/sub/none"),
		"": at("dir"), ".": at("dir"), "sub": at("dir/sub"), "../relative": at("dir"), "sub/up": at("dir"),
	} {
		got, below, err := locate(path)
		if err != nil || got != want || below != "" {
			t.Errorf("%q: %q, %q, %v; want %q", path, got, below, err, want)
		}
	}
	if _, _, err := locate(at("round")); codeOf(err) != exitUsage || !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself: %v", err)
	}
}

// A path into a mount is divided where it enters it, also by way of links.
func TestLocateInMount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil))
	w.mustSh("echo x > m/x; ln -s m to-mount; ln -s to-mount/x to-file")
	for path, want := range map[string][2]string{
		"m": {m, ""}, "to-mount": {m, ""}, "m/x": {m, "x"}, "to-mount/x": {m, "x"}, "to-file": {m, "x"},
		"to-mount/.by-id/a": {m, ".by-id/a"}, "m/../m/a/b": {m, "a/b"},
	} {
		at, below, err := locate(filepath.Join(w.dir, path))
		if err != nil || at != want[0] || below != want[1] {
			t.Errorf("%q: %q, %q, %v; want %q", path, at, below, err, want)
		}
	}
	w.mustRun("info", w.dir+"/to-file")
}
