package fs

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// unshowing is a house whose mount shows no image without data.
func unshowing() *house {
	h := newHouse()
	h.hook = func(_ context.Context, op, what string) error {
		if op != "check empty" {
			return nil
		}
		return &image.Error{Op: "close", Image: what, Kind: image.NotPermitted, Err: image.ErrUnshown}
	}
	return h
}

// Nothing comes of an empty file that would not show, however often it is made: neither
// at the service, nor in staging.
func TestEmptyFileThatWouldNotShow(t *testing.T) {
	brief := func(o *Options) { o.waits.linger = time.Millisecond }
	for how, change := range map[string][]func(*Options){"": {brief}, "behind": {quickly, brief}} {
		t.Run(how, func(t *testing.T) {
			m := mountHouse(t, unshowing(), change...)
			const often = 3
			for range often {
				if err := must(os.OpenFile(m.path("lock"), os.O_CREATE|os.O_EXCL, 0o600)).Close(); err != nil {
					t.Fatal(err)
				}
				m.settled()
				m.eventually("it to go", func() bool {
					_, err := os.Stat(m.path("lock"))
					return errors.Is(err, os.ErrNotExist)
				})
			}
			if ends := m.ends(); m.count() != 0 || ends["discarded"] != often || len(ends) != 1 {
				t.Errorf("%d images, drafts %v", m.count(), ends)
			}
			if n := strings.Count(m.logged.text(), image.ErrUnshown.Error()); n != often {
				t.Errorf("%d lines of the log say so", n)
			}
		})
	}
}

// It is there for a while, so that what makes a file and opens it again can fill it.
func TestEmptyFileThatWouldNotShowIsFilled(t *testing.T) {
	for how, change := range map[string]func(*Options){"": func(*Options) {}, "behind": quickly} {
		t.Run(how, func(t *testing.T) {
			m := mountHouse(t, unshowing(), change, func(o *Options) { o.waits.linger = time.Hour })
			for range 2 {
				if err := must(os.Create(m.path("f"))).Close(); err != nil {
					t.Fatal(err)
				}
				m.eventually("its writers to be gone", func() bool { return m.server.OpenHandles() == 0 })
			}
			f, err := os.OpenFile(m.path("f"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			must(f.WriteString("bytes"))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.eventually("it to be committed", func() bool { return m.content("f") == "bytes" })
			if err := os.Remove(m.path("f")); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"removed", "left"} { // the end of the mount ends the wait
				if err := must(os.Create(m.path(name))).Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(m.path("removed")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A close that would have made the image says that it cannot be; what is written then is
// published.
func TestEmptiedFileThatWouldNotShow(t *testing.T) {
	for how, change := range map[string][]func(*Options){"": nil, "behind": {quickly}} {
		t.Run(how, func(t *testing.T) {
			m := mountHouse(t, unshowing(), change...)
			f := must(os.Create(m.path("f")))
			must(f.WriteString("bytes"))
			stays := must(os.OpenFile(m.path("f"), os.O_WRONLY, 0))
			if err := f.Truncate(0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); !errors.Is(err, syscall.EPERM) {
				t.Errorf("the close: %v", err)
			}
			if _, err := os.Stat(m.path("f")); err != nil || m.count() != 0 {
				t.Errorf("while it is open: %v, %d images", err, m.count())
			}
			must(stays.WriteString("others"))
			if err := stays.Close(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			m.want("f", "others")
			if ends := m.ends(); ends["discarded"] != 1 || len(ends) != 1 {
				t.Errorf("drafts %v", ends)
			}
		})
	}
}

// What is there already is emptied, and a file that waits to be uploaded too: that is
// done once, and not by mistake.
func TestEmptyingWhatIsThere(t *testing.T) {
	h := unshowing()
	var away atomic.Bool
	check := h.hook
	h.hook = func(ctx context.Context, op, what string) error {
		if op == "behind" && away.Load() {
			return &image.Error{Op: op, Kind: image.Unreachable}
		}
		return check(ctx, op, what)
	}
	h.add("there", "bytes")
	m := mountHouse(t, h, quickly)
	away.Store(true)
	m.write("waits", "bytes")
	for _, name := range []string{"there", "waits"} {
		if err := os.WriteFile(m.path(name), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	away.Store(false)
	m.settled()
	for _, name := range []string{"there", "waits"} {
		if img := m.the(name); img.Status != image.StatusQueued {
			t.Errorf("%s: %+v", name, img)
		}
	}
}

// What a failed commit may have left of a file that is emptied then, and would not show,
// goes as that of a removed one does.
func TestFailedFileThatWouldNotShow(t *testing.T) {
	h := unshowing()
	check := h.hook
	h.hook = func(ctx context.Context, op, what string) error {
		if op == "commit" {
			return &image.Error{Op: op, Image: what, Kind: image.Rejected}
		}
		return check(ctx, op, what)
	}
	m := mountHouse(t, h)
	f := must(os.Create(m.path("f")))
	must(f.WriteString("bytes"))
	last := must(os.OpenFile(m.path("f"), os.O_WRONLY, 0))
	if err := f.Close(); err == nil {
		t.Fatal("the commit was to fail")
	}
	if err := last.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := last.Close(); !errors.Is(err, syscall.EPERM) {
		t.Errorf("the close: %v", err)
	}
	m.settled()
	if ends := m.ends(); ends["discarded"] != 1 || len(ends) != 1 {
		t.Errorf("drafts %v", ends)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.drafts {
		if !d.unlinked {
			t.Error("its draft went, and nobody looks at what its commit has left")
		}
	}
}
