package fs

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// both is a hook by which two kinds of operations fail.
func both(a, b func(context.Context, string, string) error) func(context.Context, string, string) error {
	return func(ctx context.Context, op, what string) error {
		if err := a(ctx, op, what); err != nil {
			return err
		}
		return b(ctx, op, what)
	}
}

// A change that fails takes back what the journal says of an answered close; the close
// that follows says it again, so that a crash does not forget the file.
func TestFailedChangeOfWhatWaits(t *testing.T) {
	for name, change := range map[string]func(f *os.File) error{
		"write":     func(f *os.File) error { _, err := f.WriteAt([]byte("more"), 3); return err },
		"truncate":  func(f *os.File) error { return f.Truncate(1) },
		"fallocate": func(f *os.File) error { return syscall.Fallocate(int(f.Fd()), 0, 0, 1<<20) },
		"by name":   func(f *os.File) error { return os.Truncate(f.Name(), 2) },
		"at open":   func(f *os.File) error { _, err := os.OpenFile(f.Name(), os.O_WRONLY|os.O_TRUNC, 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			h, away := awayHouse()
			full := &failing{op: "write", kind: image.LocalFull}
			h.hook = both(away.hook, full.hook)
			m := mountHouse(t, h, quickly)
			m.write("f", "answered")
			f := must(os.OpenFile(m.path("f"), os.O_WRONLY, 0))
			full.on.Store(true)
			wantErr(t, change(f), syscall.ENOSPC)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.eventually("the journal to say that its commit is owed", func() bool { return m.each()[0].accepted })
			m.want("f", "answered")
			away.on.Store(false)
			m.settled()
			if m.content("f") != "answered" {
				t.Errorf("the image is %q", m.content("f"))
			}
		})
	}
}

// A close that cannot be answered for want of room, after one that was: nothing is given
// up, the file goes on waiting, and the journal has it again as soon as there is room.
func TestCloseThatFailsOverWhatWaits(t *testing.T) {
	h, away := awayHouse()
	full := &failing{op: "accept", kind: image.LocalFull}
	h.hook = both(away.hook, full.hook)
	m := mountHouse(t, h, quickly)
	m.write("f", "answered")
	f := must(os.OpenFile(m.path("f"), os.O_WRONLY|os.O_APPEND, 0))
	must(f.WriteString(", and more"))
	full.on.Store(true)
	wantErr(t, f.Close(), syscall.ENOSPC)
	seen := full.seen.Load()
	m.eventually("it to be tried again", func() bool { return full.seen.Load() > seen+2 })
	m.want("f", "answered, and more")
	if ends := m.ends(); ends[""] != 1 {
		t.Errorf("drafts ended %v", ends)
	}
	full.on.Store(false)
	m.eventually("the journal to say that its commit is owed", func() bool { return m.each()[0].accepted })
	away.on.Store(false)
	m.settled()
	if m.content("f") != "answered, and more" || m.count() != 1 {
		t.Errorf("the image is %q", m.content("f"))
	}
}

// A file that is written again before each upload of it ends is told, once.
func TestAlwaysOvertaken(t *testing.T) {
	h := newHouse()
	begun := make(chan struct{})
	h.hook = func(ctx context.Context, op, _ string) error {
		if op != "behind" {
			return nil
		}
		select {
		case begun <- struct{}{}:
			<-ctx.Done()
			return ctx.Err()
		case <-time.After(patience): // nobody writes any more
			return nil
		}
	}
	m := mountHouse(t, h, quickly)
	for range toldCut + 2 {
		m.write("f", "again")
		<-begun
	}
	if err := os.Remove(m.path("f")); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if n := strings.Count(m.logged.text(), "changed again before its upload ends"); n != 1 {
		t.Errorf("%d lines:\n%s", n, m.logged.text())
	}
}

// A draft that is renamed over another one that waits names it in its journal, until
// it is renamed again: after a crash one of the two is committed.
func TestRenameOverNamesTheOther(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, quickly)
	m.write("f", "first")
	m.write("tmp", "second")
	id := func(name string) string { return must(m.Lookup(t.Context(), name)).Draft }
	first, second := id("f"), id("tmp")
	supersedes := func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		d := h.drafts[second]
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.supersedes
	}
	if err := os.Rename(m.path("tmp"), m.path("f")); err != nil {
		t.Fatal(err)
	}
	if got := supersedes(); got != first {
		t.Errorf("the journal names %q", got)
	}
	if err := os.Rename(m.path("f"), m.path("g")); err != nil {
		t.Fatal(err)
	}
	if got := supersedes(); got != "" {
		t.Errorf("the journal still names %q", got)
	}
	away.on.Store(false)
	m.settled()
	m.want("g", "second")
}
