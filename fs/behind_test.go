package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// quickly makes a mount answer closes before their commits, and try these again at
// once.
func quickly(o *Options) {
	o.Writeback, o.Behind = true, 2
	o.waits = waits{
		breath: time.Millisecond, awayFirst: time.Millisecond, awayMost: 5 * time.Millisecond,
		refusedFirst: time.Millisecond, refusedMost: 5 * time.Millisecond, hurried: time.Millisecond,
	}
}

// failing is a hook by which an operation fails while it is on.
type failing struct {
	op   string
	kind image.Kind
	on   atomic.Bool
	seen atomic.Int64
}

func (r *failing) hook(_ context.Context, op, _ string) error {
	if op != r.op || !r.on.Load() {
		return nil
	}
	r.seen.Add(1)
	return &image.Error{Op: op, Kind: r.kind}
}

// awayHouse is a house whose commits behind fail until away is turned off.
func awayHouse() (*house, *failing) {
	h, away := newHouse(), &failing{op: "behind", kind: image.Unreachable}
	away.on.Store(true)
	h.hook = away.hook
	return h, away
}

// journaled is what one draft's journal says.
type journaled struct {
	attributes image.Attributes
	accepted   bool
}

func (h *house) each() []journaled {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []journaled
	for _, d := range h.drafts {
		d.mu.Lock()
		all = append(all, journaled{d.attributes, d.accepted})
		d.mu.Unlock()
	}
	return all
}

// uploading is a mount with a file whose upload behind has begun and is held.
func uploading(t *testing.T, name, data string) (*mounted, *gate) {
	t.Helper()
	h, g := newHouse(), newGate("behind", name)
	h.hook = g.hold
	m := mountHouse(t, h, quickly)
	m.write(name, data)
	g.wait(t)
	return m, g
}

// The close returns, the file is there, and its image comes when the service does.
func TestWriteback(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, quickly)
	m.write("new", "hello")
	m.eventually("several tries", func() bool { return away.seen.Load() > 3 })
	m.want("new", "hello")
	if fi, err := os.Stat(m.path("new")); err != nil || fi.Size() != 5 {
		t.Errorf("stat: %v, %v", fi, err)
	}
	if list, err := os.ReadDir(m.dir); err != nil || len(list) != 1 {
		t.Errorf("the directory lists %v, %v", list, err)
	}
	if m.count() != 0 {
		t.Error("there is an image already")
	}
	away.on.Store(false)
	m.settled()
	m.want("new", "hello")
	if m.content("new") != "hello" || m.did("behind", "new") != 1 || m.count() != 1 {
		t.Errorf("the image is %q, after %v", m.content("new"), m.log)
	}
	if n := strings.Count(m.logged.text(), "waits for its upload"); n != 1 {
		t.Errorf("%d lines of the log tell of one failure", n)
	}
}

// An error of the local disk is the close's.
func TestWritebackLocalFailure(t *testing.T) {
	h := newHouse()
	full := &failing{op: "accept", kind: image.LocalFull}
	full.on.Store(true)
	h.hook = full.hook
	m := mountHouse(t, h, quickly)
	f := must(os.Create(m.path("new")))
	must(f.WriteString("hello"))
	wantErr(t, f.Close(), syscall.ENOSPC)
	m.settled()
	if ends := m.ends(); ends["failed"] != 1 || m.count() != 0 {
		t.Errorf("drafts ended %v, %d images", ends, m.count())
	}
}

// What was accepted can be written on: the next close makes it wait anew, and one
// image comes of it.
func TestWritebackWriteAgain(t *testing.T) {
	m, _ := uploading(t, "new", "first") // its upload is under way, and must give way
	m.write("new", "second, longer")
	m.want("new", "second, longer")
	m.settled()
	if m.content("new") != "second, longer" || m.did("behind", "new") != 1 || m.count() != 1 {
		t.Errorf("the image is %q, after %v", m.content("new"), m.log)
	}
}

// An edit and a truncation of what waits, and truncate(2), are accepted, too.
func TestWritebackEdit(t *testing.T) {
	h, away := awayHouse()
	h.add("old", "what was there")
	m := mountHouse(t, h, quickly)
	f := must(os.OpenFile(m.path("old"), os.O_WRONLY, 0))
	must(f.WriteAt([]byte("WHAT"), 0))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.want("old", "WHAT was there")
	if err := os.Truncate(m.path("old"), 8); err != nil {
		t.Fatal(err)
	}
	m.want("old", "WHAT was")
	away.on.Store(false)
	m.settled()
	m.want("old", "WHAT was")
	if m.content("old") != "WHAT was" || m.count() != 1 {
		t.Errorf("the image is %q of %d", m.content("old"), m.count())
	}
}

// An empty file waits, too.
func TestWritebackEmpty(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, quickly)
	m.write("new", "")
	m.eventually("a try", func() bool { return away.seen.Load() > 0 })
	m.want("new", "")
	away.on.Store(false)
	m.settled()
	if img := m.the("new"); img.Status != image.StatusQueued {
		t.Errorf("the image is %+v", img)
	}
}

// A refusal is retried, too: quota can be freed. Another cause is another line.
func TestWritebackRefused(t *testing.T) {
	h := newHouse()
	var kind atomic.Int64
	kind.Store(int64(image.Quota))
	var seen atomic.Int64
	h.hook = func(_ context.Context, op, _ string) error {
		if k := image.Kind(kind.Load()); op == "behind" && k != image.Other {
			seen.Add(1)
			return &image.Error{Op: op, Kind: k}
		}
		return nil
	}
	m := mountHouse(t, h, quickly)
	m.write("new", "data")
	m.eventually("tries", func() bool { return seen.Load() > 3 })
	kind.Store(int64(image.Forbidden))
	before := seen.Load()
	m.eventually("tries", func() bool { return seen.Load() > before+3 })
	kind.Store(int64(image.Other))
	m.settled()
	if n := strings.Count(m.logged.text(), "waits for its upload"); n != 2 || m.content("new") != "data" {
		t.Errorf("%d lines of the log, the image is %q", n, m.content("new"))
	}
}

// Where what the commit behind has published was deleted by somebody, and what it was to
// replace has gone, the entry is what the service has of that name, and one line tells.
func TestWritebackDeletedSince(t *testing.T) {
	for _, what := range []string{"new", "old"} {
		t.Run(what, func(t *testing.T) {
			h := newHouse()
			old := h.add("old", "an image")
			opened := newGate("behind", what)
			h.hook = func(ctx context.Context, op, name string) error {
				if err := opened.hold(ctx, op, name); err != nil {
					return err
				}
				if op == "behind" {
					h.drop(old.ID)
					return &image.Error{Op: op, Kind: image.Stale, Err: image.ErrDeletedSince}
				}
				return nil
			}
			m := mountHouse(t, h, quickly)
			m.write(what, "written")
			reader := must(os.Open(m.path(what)))
			defer reader.Close()
			close(opened.open)
			m.eventually("the draft to be kept", func() bool { return m.ends()["failed"] == 1 })
			m.eventually("the entry to go", func() bool { _, err := os.Lstat(m.path(what)); return errors.Is(err, os.ErrNotExist) })
			_, err := io.ReadAll(reader)
			wantErr(t, err, syscall.ESTALE)
			h.add(what, "somebody's")
			m.server.EntryChanged(what)
			m.want(what, "somebody's")
			text := m.logged.text()
			if kept, waits := strings.Count(text, "not committed: the draft is kept"), strings.Count(text, "waits for its upload"); kept != 1 || waits != 0 {
				t.Errorf("%d lines of the log tell of it, and %d that it waits", kept, waits)
			}
		})
	}
}

// A try that a removal has ended tells nothing of what it made: where the removal fails, it is
// tried again.
func TestWritebackRefusedRemoval(t *testing.T) {
	h, away := newHouse(), &failing{op: "remove", kind: image.Unavailable}
	away.on.Store(true)
	tried := make(chan struct{})
	once := sync.OnceFunc(func() { close(tried) })
	var ended atomic.Bool
	h.hook = func(ctx context.Context, op, what string) error {
		if op == "behind" && !ended.Load() {
			once()
			<-ctx.Done()
			ended.Store(true)
			return &image.Error{Op: op, Kind: image.Stale, Err: image.ErrDeletedSince}
		}
		return away.hook(ctx, op, what)
	}
	h.add("disk", "before")
	m := mountHouse(t, h, quickly)
	m.write("disk", "after")
	<-tried
	wantErr(t, os.Remove(m.path("disk")), syscall.EIO)
	m.settled()
	if m.content("disk") != "after" || m.ends()["failed"] != 0 {
		t.Errorf("the image is %q; drafts ended %v", m.content("disk"), m.ends())
	}
}

// No more than so many are at work at once.
func TestWritebackPlaces(t *testing.T) {
	h := newHouse()
	var at, most atomic.Int64
	h.hook = func(_ context.Context, op, _ string) error {
		switch op {
		case "begin behind":
			if n := at.Add(1); n > most.Load() {
				most.Store(n)
			}
		case "behind":
			time.Sleep(2 * time.Millisecond) // so that they meet, if they can
			at.Add(-1)
		}
		return nil
	}
	m := mountHouse(t, h, quickly)
	for _, name := range strings.Fields("a b c d e f g h") {
		m.write(name, name)
	}
	m.settled()
	if most.Load() > 2 || m.count() != 8 {
		t.Errorf("%d at once, %d images", most.Load(), m.count())
	}
}

// The end of the mount waits for what waits; Abort does not, and leaves it to the
// next mount.
func TestWritebackEnd(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, quickly)
	m.write("new", "data")
	m.eventually("all handles to be closed", func() bool { return m.server.OpenHandles() == 0 })
	if err := m.server.Unmount(); err != nil {
		t.Fatal(err)
	}
	waited := soon(func() error { m.server.Wait(); return nil })
	tries := away.seen.Load()
	m.eventually("more tries", func() bool { return away.seen.Load() > tries+2 })
	away.on.Store(false)
	if err := result(t, waited); err != nil || m.content("new") != "data" {
		t.Errorf("%v, the image is %q", err, m.content("new"))
	}

	h, _ = awayHouse()
	m = mountHouse(t, h, quickly)
	m.write("new", "data")
	m.eventually("all handles to be closed", func() bool { return m.server.OpenHandles() == 0 })
	if err := m.server.Unmount(); err != nil {
		t.Fatal(err)
	}
	m.server.Abort()
	m.server.Wait()
	if ends := m.ends(); ends["closed"] != 1 || m.count() != 0 {
		t.Errorf("drafts ended %v, %d images", ends, m.count())
	}
	for _, d := range m.each() {
		if !d.accepted {
			t.Error("the journal does not say that the commit is owed")
		}
	}
	m.overlay, m.drafts = map[string]string{}, map[string]*fakeDraft{} // the next mount's business
}
