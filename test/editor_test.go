package test

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// An editor makes files to try names, and removes them at once: the log tells of no
// draft that is kept, for none is. The steps are vim's for its swap file.
func TestSwapFile(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		swp, swx := m.path(s.cleanName(t, ".note.swp")), m.path(s.cleanName(t, ".note.swx"))
		for range 3 {
			a, b := exclusive(t, swp), exclusive(t, swx)
			if err := errors.Join(b.Close(), os.Remove(swx), a.Close(), os.Remove(swp)); err != nil {
				t.Fatal(err)
			}
			c := exclusive(t, swp)
			_, err := c.WriteAt(noise(91, 4096), 0)
			if err = errors.Join(err, os.Chmod(swp, 0o644), c.Close(), os.Remove(swp)); err != nil {
				t.Fatal(err)
			}
		}
		m.settled()
		for _, word := range []string{"level=ERROR", "level=WARN", "kept"} {
			if strings.Contains(m.log.String(), word) {
				t.Errorf("the log has %q, though nothing failed and nothing is kept", word)
			}
		}
	})
}

func exclusive(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
