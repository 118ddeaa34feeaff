package fs

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The write bits follow user.image.protected at once, also where stat asks for the
// mode alone, which the kernel answers from what it was told.
func TestProtectedMode(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	for _, c := range []struct {
		protected string
		want      uint16
	}{{"true", 0o444}, {"false", 0o644}, {"true", 0o444}} {
		if err := unix.Setxattr(m.path("disk"), "user.image.protected", []byte(c.protected), 0); err != nil {
			t.Fatal(err)
		}
		var stat unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, m.path("disk"), 0, unix.STATX_MODE, &stat); err != nil {
			t.Fatal(err)
		}
		if got := stat.Mode & 0o777; got != c.want {
			t.Errorf("protected=%s: mode %o, want %o", c.protected, got, c.want)
		}
	}
}
