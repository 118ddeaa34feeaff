package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/staging"
)

func TestAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk.raw")
	text := func(s string) func(*os.File) error {
		return func(f *os.File) error {
			if _, err := os.Stat(path); err == nil && s == "first" {
				t.Error("it shows before it is complete")
			}
			_, err := f.WriteString(s)
			return err
		}
	}
	to := aside{path: path, syncDir: syncDir}
	if err := to.write(text("first")); err != nil {
		t.Fatal(err)
	}
	if err := to.write(text("second")); codeOf(err) != exitFileExists {
		t.Errorf("over an existing file: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("%q %v", got, err)
	}
	to.force = true
	to.syncDir = func(of string) error {
		if got, err := os.ReadFile(path); of != dir || err != nil || string(got) != "third" {
			t.Errorf("fsync of %s, with %q %v", of, got, err)
		}
		return syncDir(of)
	}
	if err := to.write(text("third")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "third" {
		t.Errorf("%q %v", got, err)
	}
	broken := errors.New("broken")
	to.syncDir = func(string) error { return broken }
	if err := to.write(text("fourth")); !errors.Is(err, broken) || !strings.Contains(err.Error(), "is written") {
		t.Error(err)
	}
	if err := (aside{path: filepath.Join(dir, "other"), force: true, syncDir: syncDir}).write(func(*os.File) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := (aside{path: filepath.Join(dir, "none", "x"), syncDir: syncDir}).write(text("x")); codeOf(err) != exitDraft {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v %v", left, err)
	}
}

func TestExportReplacesNothingButFiles(t *testing.T) {
	dir := t.TempDir()
	file, pipe, link := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), syscall.Mkfifo(pipe, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, link, "/dev/null"} {
		if err := mayWrite(path, true); codeOf(err) != exitFileExists {
			t.Errorf("%s by force: %v", path, err)
		}
	}
	if err := mayWrite(file, false); codeOf(err) != exitFileExists {
		t.Error(err)
	}
	if err := errors.Join(mayWrite(file, true), mayWrite(filepath.Join(dir, "new"), false)); err != nil {
		t.Error(err)
	}
}

func TestCopySparse(t *testing.T) {
	dir := t.TempDir()
	s := openStaging(t, filepath.Join(dir, "staging"))
	d, err := s.Create(staging.Spec{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for off, text := range map[int64]string{0: "head", 40<<20 + 7: "middle", 80<<20 - 4: "tail"} {
		if _, err := d.WriteAt(t.Context(), []byte(text), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Truncate(t.Context(), 100<<20); err != nil {
		t.Fatal(err)
	}
	to, err := os.Create(filepath.Join(dir, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	last := int64(0)
	if err := copySparse(t.Context(), to, d, func(done int64) { last = done }); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to.Name())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(d.Path())
	if err != nil || !bytes.Equal(got, want) || last < 80<<20 {
		t.Errorf("the copy differs: %d bytes of %d, %v, %d done", len(got), len(want), err, last)
	}
	info, err := to.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if n := info.Sys().(*syscall.Stat_t).Blocks * 512; n > 4<<20 {
		t.Errorf("the copy occupies %d bytes", n)
	}
}

// noBase is what lies under a draft that nobody reads.
type noBase struct{}

func (noBase) ReadAt(context.Context, []byte, int64) (int, error) { return 0, io.EOF }

func (noBase) Close() error { return nil }
