package fs

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// Whoever changes a file that is passed through gives its entry another file. Open
// ones go on with the bytes that they had, and the copy is never written to.
func TestChangedWhilePassed(t *testing.T) {
	edit := func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("edited"), 4000); err != nil {
			return errors.Join(err, f.Close())
		}
		return f.Close()
	}
	edited := remoteBytes[:4000] + "edited" + remoteBytes[4006:]
	for name, tc := range map[string]struct {
		change func(p *passable) error
		after  string // what the entry then reads as; "" when it is gone
	}{
		"edit":      {func(p *passable) error { return edit(p.path("disk")) }, edited},
		"overwrite": {func(p *passable) error { return os.WriteFile(p.path("disk"), []byte("new"), 0o600) }, "new"},
		"truncate":  {func(p *passable) error { return os.Truncate(p.path("disk"), 4000) }, remoteBytes[:4000]},
		"truncate at open for reading": {func(p *passable) error {
			f, err := os.OpenFile(p.path("disk"), os.O_RDONLY|os.O_TRUNC, 0)
			if err != nil {
				return err
			}
			return f.Close()
		}, "\x00"},
		"rename over": {func(p *passable) error {
			if err := os.WriteFile(p.path("other"), []byte("other"), 0o600); err != nil {
				return err
			}
			return os.Rename(p.path("other"), p.path("disk"))
		}, "other"},
		"unlink": {func(p *passable) error { return os.Remove(p.path("disk")) }, ""},
		"rename and back": {func(p *passable) error {
			return errors.Join(os.Rename(p.path("disk"), p.path("away")), os.Rename(p.path("away"), p.path("disk")))
		}, remoteBytes},
		"chmod": {func(p *passable) error { return os.Chmod(p.path("disk"), 0o600) }, remoteBytes},
	} {
		t.Run(name, func(t *testing.T) {
			p := mountPassable(t, newHouse())
			old := must(os.Open(p.path("disk")))
			defer old.Close()
			p.passed(1)
			if err := tc.change(p); err != nil {
				t.Fatal(err)
			}
			p.settled()
			if p.read == localBytes {
				if got := string(must(io.ReadAll(old))); got != localBytes {
					t.Errorf("the open file reads as %.40q", got)
				}
			}
			switch tc.after {
			case "":
				p.absent("disk")
			case "\x00": // emptied at open, as any image is: its release commits
				p.eventually("the image to be empty", func() bool { return p.the("disk").Size == 0 })
				p.want("disk", "")
			case remoteBytes:
				p.want("disk", p.read)
				p.passed(1)
			default:
				p.want("disk", tc.after)
				if got := p.content("disk"); got != tc.after {
					t.Errorf("the image has %.40q", got)
				}
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			p.passed(0)
		})
	}
}

// A draft is never passed through, and what it became is, once it has a copy.
func TestDraftIsNotPassed(t *testing.T) {
	p := mountPassable(t, newHouse())
	w := must(os.OpenFile(p.path("disk"), os.O_RDWR, 0))
	r := must(os.Open(p.path("disk")))
	p.passed(0)
	must(w.WriteAt([]byte("edited"), 0))
	got := make([]byte, 6)
	must(r.ReadAt(got, 0))
	if string(got) != "edited" {
		t.Errorf("the reader sees %q", got)
	}
	if err := errors.Join(w.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	p.settled()
	p.eventually("the files to be closed", func() bool { return p.server.OpenHandles() == 0 })
	img, bytes := p.the("disk"), strings.Repeat("A", passedSize)
	p.copies.add(img, bytes)
	f := must(os.Open(p.path("disk")))
	p.passed(1)
	if p.read == localBytes {
		if got := string(must(io.ReadAll(f))); got != bytes {
			t.Errorf("it reads as %.40q", got)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Files opened, read, written and closed by many at once never fail.
func TestPassedByMany(t *testing.T) {
	p := mountPassable(t, newHouse())
	written := strings.Repeat("written.", passedSize/8+1)[:passedSize]
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := os.ReadFile(p.path("disk"))
				if err != nil {
					t.Error(err)
					return
				}
				// Who reads through the daemon sees how the file is written. Where the kernel
				// has asked for a page of a file that was truncated meanwhile, it has zeros
				// there until it is written to.
				if s := strings.TrimRight(string(got), "\x00"); s != localBytes && s != remoteBytes && !strings.HasPrefix(written, s) {
					t.Errorf("a reader saw %d bytes, %.40q", len(s), s)
				}
			}
		})
	}
	for range 50 {
		if err := os.WriteFile(p.path("disk"), []byte(written), 0o600); err != nil {
			t.Error(err)
			break
		}
		p.copies.add(p.the("disk"), written)
	}
	close(stop)
	all.Wait()
	p.settled()
	p.want("disk", written)
}
