package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestListAndDrop(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	s := openStore(t, o, d)
	whole, i := wholeImage(t, s, 1, 10)
	began := d.now
	d.pass(time.Minute)
	part := draw(2, 9*unit+1)
	part.img.HashAlgo, part.img.HashValue = "", ""
	j := part.in(s)
	part.write(j, 8, 10)
	idle := draw(3, unit).in(s) // open, and nothing of it is there
	defer idle.Close()
	f, release, ok := i.Pin()
	if !ok {
		t.Fatal("not pinned")
	}
	want := []Listed{
		{Key: whole.key(), Size: 10 * unit, Held: 10 * unit, Hash: whole.img.Digest(), Verified: true, Pinned: true, Used: began.Add(time.Minute)},
		{Key: part.key(), Size: 9*unit + 1, Held: unit + 1, Used: began.Add(time.Minute)},
	}
	if diff := cmp.Diff(want, s.List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before := s.Stats().Bytes
	if freed := s.Drop(part.key(), part.img.Size); freed != 2*chargeUnit+fileCharge || s.Stats().Bytes != before-freed {
		t.Errorf("%d bytes were freed of %d, %d are left", freed, before, s.Stats().Bytes)
	}
	part.want(t, j, 0)
	part.write(j, 0, 3) // who has it open goes on
	part.want(t, j, 3)
	if freed := s.Drop(whole.key(), whole.img.Size); freed != 0 {
		t.Errorf("%d bytes of a file that is handed out were freed", freed)
	}
	p := make([]byte, unit)
	if _, err := f.ReadAt(p, 9*unit); err != nil || string(p) != string(whole.block(9)) {
		t.Errorf("a file that is handed out has lost bytes: %v", err)
	}
	release()
	if s.Drop(whole.key(), 5) != 0 || s.Drop(image.Key{}, 0) != 0 {
		t.Error("what is not there was dropped")
	}
	i.Close()
	j.Close()
	if n := s.Stats().Bytes; n != 3*chargeUnit+fileCharge {
		t.Errorf("%d bytes are left", n)
	}
}

// Who only looks evicts nothing, makes nothing, and keeps nobody's directory.
func TestOpenIdle(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "none"))
	if _, err := OpenIdle(o); !image.Is(err, image.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(o.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	s := openStore(t, o, nil)
	_, i := wholeImage(t, s, 1, 30)
	i.Close()
	if _, err := OpenIdle(o); !errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	must(t, s.Close())
	bad := draw(2, unit).name() + indexSuffix
	must(t, os.WriteFile(filepath.Join(o.Dir, bad), make([]byte, headerSize), 0o600))
	o.Limit = unit
	for _, useless := range []int{1, 0} {
		s, err := OpenIdle(o)
		must(t, err)
		if list := s.List(); len(list) != 1 || list[0].Held != 30*unit || !list[0].Verified || s.Stats().Useless != useless {
			t.Errorf("%+v, %+v", list, s.Stats())
		}
		must(t, s.Close())
	}
}

// A directory that is none of a Store is left as it is, though something in it has the
// name of a lock.
func TestOpenIdleForeign(t *testing.T) {
	for name, c := range map[string]struct {
		mode os.FileMode
		text string
	}{
		"open to others": {0o755, "17\n"}, "another lock": {0o700, "hello\n"}, "a long file": {0o700, strings.Repeat("1", pidDigits+1)},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			lock := filepath.Join(o.Dir, lockName)
			must(t, os.WriteFile(lock, []byte(c.text), 0o600))
			must(t, os.Chmod(o.Dir, c.mode))
			if s, err := OpenIdle(o); !image.Is(err, image.NotFound) {
				t.Errorf("%v", err)
				if err == nil {
					must(t, s.Close())
				}
			}
			info, err := os.Stat(o.Dir)
			must(t, err)
			text, err := os.ReadFile(lock)
			must(t, err)
			if info.Mode().Perm() != c.mode || string(text) != c.text {
				t.Errorf("mode %v, lock %q", info.Mode(), text)
			}
		})
	}
}
