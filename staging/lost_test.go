package staging

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// After an fsync that has failed no later one makes the draft good again: it is not
// accepted, not committed, and whoever finds it knows that bytes may be missing.
func TestFailedSyncStays(t *testing.T) {
	ends := map[string]func(*Draft) error{
		"close": (*Draft).Close,
		"keep":  func(d *Draft) error { return d.Keep("the commit failed") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			d := create(t, s, Spec{Name: "n", Entry: "n"})
			write(t, d, "bytes", 0)
			s.sync = func(*os.File) error { return syscall.EIO }
			if err := d.Sync(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("sync: %v", err)
			}
			s.sync = (*os.File).Sync // as the kernel does it: what it dropped is written
			if err := errors.Join(d.Sync(t.Context()), d.Accept(t.Context(), image.Attributes{})); !errors.Is(err, syscall.EIO) || strings.Count(err.Error(), "an fsync has failed") != 2 {
				t.Errorf("sync and accept: %v", err)
			}
			if _, err := d.BeginCommit(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("commit: %v", err)
			}
			if err := end(d); !errors.Is(err, syscall.EIO) {
				t.Errorf("end: %v", err)
			}
			if r := kept(t, s)[0]; !r.Uncertain || r.Synced || r.Accepted || name == "keep" && (r.State != StateFailed || r.Reason != "the commit failed") {
				t.Errorf("kept %+v", r)
			}
		})
	}
}
