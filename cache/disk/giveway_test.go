package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Who only looks is asked for the directory by whoever wants it, once, and by nobody else; a
// mount is not.
func TestAsked(t *testing.T) {
	o := options(t.TempDir())
	mark := filepath.Join(o.Dir, idleName)
	s := openStore(t, o, nil)
	for _, open := range []func(Options) (*Store, error){Open, OpenIdle, Open} {
		if _, err := open(o); !errors.Is(err, ErrInUse) || errors.Is(err, ErrAsked) {
			t.Errorf("of a mount: %v", err)
		}
	}
	must(t, s.Close())
	must(t, os.WriteFile(mark, nil, 0o600)) // as one that was killed leaves it
	for range 2 {
		s, err := OpenIdle(o)
		must(t, err)
		if _, err := OpenIdle(o); !errors.Is(err, ErrInUse) || s.Asked() {
			t.Errorf("who looks too asks: %v", err)
		}
		if _, err := Open(o); !errors.Is(err, ErrInUse) || !errors.Is(err, ErrAsked) || !s.Asked() {
			t.Errorf("%v, asked: %v", err, s.Asked())
		}
		if _, err := Open(o); !errors.Is(err, ErrInUse) || errors.Is(err, ErrAsked) || !s.Asked() {
			t.Errorf("a second time: %v", err)
		}
		must(t, s.Close())
	}
	must(t, os.WriteFile(mark, nil, 0o600))
	s = openStore(t, o, nil)
	if _, err := os.Lstat(mark); !errors.Is(err, os.ErrNotExist) || s.Asked() {
		t.Errorf("a mount leaves the mark of a killed one: %v", err)
	}
	must(t, s.Close())
}
