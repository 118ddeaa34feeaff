package model

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"github.com/imagefs/imagefs/test/daemon"
)

// notOurs are go-fuse's cases for what a mount does not have (SEMANTICS, Operations).
var notOurs = map[string]string{
	"DirSeek":                    directories,
	"MkdirRmdir":                 directories,
	"OpenAt":                     directories,
	"RenameOpenDir":              directories,
	"RenameOverwriteDestExist":   directories,
	"RenameOverwriteDestNoExist": directories,
	"Link":                       links,
	"LinkUnlinkRename":           links,
	"OpenSymlinkRace":            links,
	"SetattrSymlink":             links,
	"SymlinkReadlink":            links,
	"Tmpfile":                    "O_TMPFILE is refused: an image has a name",
	"XAttr":                      xattrs,
	"XAttrLarge":                 xattrs,
	"FileBasic":                  "the mode given to open is not used",
	"FcntlFlockLocksFile":        "one process locks twice, which a local filesystem grants, too: such locks are the process's",
}

const (
	directories = "there is one directory: mkdir is refused"
	links       = "links and symbolic links are refused: an image has one name"
	xattrs      = "extended attributes are those of the image, user.image.*"
)

// The cases that go-fuse has for filesystems, each on a mount of its own. One that a
// later go-fuse adds runs, too, until it is judged.
func TestPosix(t *testing.T) {
	for name := range notOurs {
		if posixtest.All[name] == nil {
			t.Errorf("go-fuse has no case %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		if notOurs[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s, err := daemon.NewService(t.Context(), filepath.Join(root, "served"))
			if err != nil {
				t.Fatal(err)
			}
			d, err := daemon.New(binary, root, "--endpoint", s.URL())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { // in the case's own goroutine a Fatal may end it
				if err := d.Unmount(); err != nil {
					t.Error(err, d.Kill())
				}
				if t.Failed() {
					t.Logf("the daemon's log ends so:\n%s", d.Tail())
				}
				if t.Skipped() {
					t.Error("nothing is skipped: it belongs into the list")
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			posixtest.All[name](t, d.Mountpoint)
		})
	}
}
