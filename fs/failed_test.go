package fs

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// A line of the log about a file has the file's name: who looks for what became of it
// does not know its id.
func TestFailuresNameTheFile(t *testing.T) {
	h := newHouse()
	h.add("locked.raw", "x", func(i *image.Image) { i.Protected = true })
	secret := h.add("secret.raw", "x")
	h.hook = func(_ context.Context, op, what string) error {
		if op == "may read" && what == secret.ID {
			return &image.Error{Op: op, Image: what, Kind: image.Forbidden}
		}
		return nil
	}
	m := mountHouse(t, h)
	for _, c := range []struct {
		op, entry string
		err, want error
	}{
		{"open", "secret.raw", second(os.Open(m.path("secret.raw"))), syscall.EACCES},
		{"open for writing", "locked.raw", second(os.OpenFile(m.path("locked.raw"), os.O_WRONLY, 0)), syscall.EPERM},
		{"truncate", "secret.raw", os.Truncate(m.path("secret.raw"), 7), syscall.EACCES},
		{"set xattr", "secret.raw", unix.Setxattr(m.path("secret.raw"), "user.image.min_ram", []byte("much"), 0), syscall.EINVAL},
		{"remove xattr", "secret.raw", unix.Removexattr(m.path("secret.raw"), "user.image.id"), syscall.EPERM},
	} {
		wantErr(t, c.err, c.want)
		named := false
		for line := range strings.Lines(m.logged.text()) {
			named = named || strings.Contains(line, `msg="`+c.op+` failed"`) && strings.Contains(line, " entry="+c.entry+" ")
		}
		if !named {
			t.Errorf("no line of the log says that %q of %s has failed:\n%s", c.op, c.entry, m.logged.text())
		}
	}
}
