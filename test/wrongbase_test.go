package test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Bytes of an image that change on their way do not get into the edit of it: what was
// read is compared with the image's hash before the last of it is sent, and read anew. Nor
// do they stay in the kernel's pages, where the program that edits has read them.
func TestEditOverWrongBytes(t *testing.T) {
	for name, c := range map[string]struct {
		serve []string
		args  []string
	}{
		"disk":       {},
		"memory":     {args: []string{"--cache-size", "0"}},
		"no ranges":  {serve: []string{"--no-ranges"}},
		"write back": {args: []string{"--writeback"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newWire(t, embedded(t, c.serve...))
			m := mountOn(t, s, c.args...)
			const at = 1<<20 + 5
			for name, flips := range map[string]int64{"once.img": 1, "always.img": 1 << 40} {
				data := noise(uint64(flips%200), 3<<20+99)
				old := s.upload(t, image.New{Name: name}, data)
				var left atomic.Int64
				left.Store(flips)
				w.spoil(old.ID, data, -1, func(a *answer, _ []byte, off, end int64) {
					switch {
					case len(c.serve) > 0 && strings.HasPrefix(a.status, "206"):
						a.status, a.header, a.body, a.length = "400 Bad Request", nil, nil, 0
					case off <= at && at < end && left.Add(-1) >= 0:
						a.body = bytes.Clone(a.body)
						a.body[at-off] ^= 4
					}
				})
				f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				page := make([]byte, 4096)
				if _, err := f.ReadAt(page, 1<<20); err != nil || page[5] != data[at]^4 {
					t.Fatalf("what is read is right: the test tests nothing (%v)", err)
				}
				p := []byte("edited")
				want := slices.Concat(data[:100], p, data[100+len(p):])
				if _, err := f.WriteAt(p, 100); err != nil {
					t.Fatal(err)
				}
				err = f.Close()
				if flips > 1 {
					if len(c.args) > 0 && c.args[0] == "--writeback" {
						m.until("the wrong bytes to be found", func() bool { return strings.Contains(m.log.String(), old.ID+": corrupt") })
					} else if !errors.Is(err, syscall.EIO) {
						t.Errorf("close over bytes that stay wrong: %v, want EIO", err)
					}
					if now := s.one(t, name); now.ID != old.ID {
						t.Errorf("it became %+v", now)
					}
					export := append([]string{"staged", "export", "--staging-dir", m.staging}, s.args...)
					out := filepath.Join(t.TempDir(), "exported")
					if err != nil {
						export = append(export, m.stagedDrafts()[name].ID, out)
						if failed := fails(t, binary, export...); failed.code != exitDraft || !strings.Contains(failed.stderr, "does not have its hash") {
							t.Errorf("exporting over bytes that stay wrong: %d, %s", failed.code, failed.stderr)
						}
						if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
							t.Errorf("wrong bytes were exported: %v", err)
						}
					}
					w.mend(old.ID)
					if err != nil {
						run(t, binary, export...)
						if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
							t.Errorf("the export has other bytes: %v", err)
						}
						retries(t, m, name, want)
						continue
					}
				}
				if err != nil {
					t.Errorf("close over bytes that were wrong once: %v", err)
				}
				m.settled()
				holds(t, s.one(t, name), want)
				m.until("the kernel's pages to be right", func() bool {
					got, err := os.ReadFile(m.path(name))
					return err == nil && bytes.Equal(got, want)
				})
				told := 0
				for line := range strings.Lines(m.log.String()) {
					if strings.Contains(line, old.ID) && (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) {
						told++
						t.Log(line)
					}
				}
				if told == 0 {
					t.Errorf("the log does not tell of %s:\n%s", old.ID, m.log.tail(2000))
				}
			}
		})
	}
}

// writesMapped writes the first byte of each page of a mebibyte while the file is closed.
const writesMapped = `
import mmap, os, sys, threading
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 1 << 20)
m[0] = ord("a")
close = threading.Thread(target=os.close, args=(fd,))
close.start()
while True:
    last = not close.is_alive()
    for at in range(0, len(m), 4096):
        m[at] = ord("b")
    if last:
        break
m.close()
`

// Pages that are written through a mapping while a close waits, and that the kernel is told
// to forget because what is under them was wrong, hold up neither: they are written after it.
func TestMappedOverWrongBytes(t *testing.T) {
	w, s := newWire(t, embedded(t))
	m := mountOn(t, s)
	data := noise(161, 3<<20+99)
	old := s.upload(t, image.New{Name: "mapped.img"}, data)
	var flips atomic.Int64
	flips.Store(1)
	w.spoil(old.ID, data, -1, func(a *answer, _ []byte, off, end int64) {
		if at := int64(2<<20 + 5); off <= at && at < end && flips.Add(-1) >= 0 {
			a.body = bytes.Clone(a.body)
			a.body[at-off] ^= 4
		}
	})
	within(t, m, "python3", "-c", writesMapped, m.path("mapped.img"))
	want := bytes.Clone(data)
	for at := 0; at < 1<<20; at += 4096 {
		want[at] = 'b'
	}
	m.settled()
	holds(t, s.one(t, "mapped.img"), want)
	if flips.Load() >= 1 || !strings.Contains(m.log.String(), old.ID+": corrupt") {
		t.Error("nothing was wrong: the test tests nothing")
	}
}
