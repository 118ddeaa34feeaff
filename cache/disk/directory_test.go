package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

func TestSecondStoreIsRefused(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	_, err := Open(o)
	if !errors.Is(err, ErrInUse) || !image.Is(err, image.Busy) {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.Contains(text, fmt.Sprint("process ", os.Getpid())) || !strings.Contains(text, o.Dir) {
		t.Errorf("%q names neither the directory nor who has it", text)
	}
	must(t, s.Close())
	must(t, openStore(t, o, nil).Close())
}

func TestModes(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "a")
	o := options(filepath.Join(parent, "b"))
	s := openStore(t, o, nil)
	p := draw(1, unit)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 1)
	for name, want := range map[string]fs.FileMode{
		parent: 0o700, o.Dir: 0o700, filepath.Join(o.Dir, lockName): 0o600,
		path(o, p, dataSuffix): 0o600, path(o, p, indexSuffix): 0o600,
	} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestDirectoryOfOthers(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, openStore(t, options(dir), nil).Close())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory that others may read stays so: %v, %v", info.Mode(), err)
	}
	must(t, os.Chmod(dir, 0o770))
	if _, err := Open(options(dir)); !image.Is(err, image.Misconfigured) {
		t.Errorf("others may write: %v", err)
	}
	must(t, os.Chmod(dir, 0o700))
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	for _, o := range []Options{
		options(link), options(""), options("relative"), options(file), options(filepath.Join(file, "below")),
		{Dir: dir, Limit: 1 << 20, BlockSize: 1000}, {Dir: dir, Limit: 1 << 20},
	} {
		if _, err := Open(o); !image.Is(err, image.Misconfigured) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Only files with our names are cleaned away, and only those that are of no use.
func TestDebris(t *testing.T) {
	o := options(t.TempDir())
	p := draw(1, 3*unit)
	s := openStore(t, o, nil)
	i := p.in(s)
	p.write(i, 0, 2)
	i.Close()
	must(t, s.Close())
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("x"), 0o600))
	ours := func(n byte) string { return draw(n, 1).name() }
	for name, stays := range map[string]bool{
		"note.txt": true, "index": true, "x.data": true, "x.index": true, p.name() + "0.data": true, p.img.ID + ".index": true,
		ours(2) + dataSuffix: false, ours(3) + indexSuffix: false, "image-0123456789abcdef.data": false,
	} {
		file := filepath.Join(o.Dir, name)
		must(t, os.WriteFile(file, []byte("x"), 0o600))
		defer func() {
			if _, err := os.Stat(file); stays != (err == nil) {
				t.Errorf("%s: %v", name, err)
			}
		}()
	}
	index, err := os.ReadFile(path(o, p, indexSuffix))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(o.Dir, ours(4)+indexSuffix), index, 0o600))
	must(t, os.Symlink(outside, filepath.Join(o.Dir, ours(5)+indexSuffix)))
	must(t, os.MkdirAll(filepath.Join(o.Dir, ours(6)+indexSuffix, "x"), 0o700)) // cannot be removed
	var log journal
	o.Logger = log.logger()
	s = openStore(t, o, nil)
	i = p.in(s)
	defer i.Close()
	p.want(t, i, 2)
	if got := s.Stats(); got.Blocks != 2 || got.Bytes != 2*unit+fileCharge {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file outside: %v", err)
	}
	if log.count(ours(6)+indexSuffix) == 0 {
		t.Error("what cannot be removed is not told")
	}
}
