package fs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestCreateReadRemove(t *testing.T) {
	m := mountHouse(t, newHouse())
	m.write("new", "hello")
	if n := m.did("commit", "new"); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	m.want("new", "hello")
	if err := os.Remove(m.path("new")); err != nil {
		t.Fatal(err)
	}
	m.absent("new")
	if m.the("new").ID != "" {
		t.Error("the image is still there")
	}
}

// A file that is made and released empty is a record without data; open(2) of it
// again, while that record is being made, loses nothing.
func TestEmptyFileOpenedAgain(t *testing.T) {
	h := newHouse()
	g := newGate("commit empty", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	if err := must(os.Create(m.path("new"))).Close(); err != nil {
		t.Fatal(err)
	}
	g.wait(t)
	written := soon(func() error {
		f, err := os.OpenFile(m.path("new"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("late")
		return errors.Join(err, f.Close())
	})
	close(g.open)
	if err := result(t, written); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("new", "late")
	if e, n := m.did("commit empty", "new"), m.did("commit", "new"); e != 1 || n != 1 {
		t.Errorf("%d empty commits and %d others, want one of each", e, n)
	}
	if m.count() != 1 {
		t.Errorf("%d images are there, want 1", m.count())
	}
}

// Two processes open an image for writing in the same moment: one draft.
func TestOpenedForWritingAtOnce(t *testing.T) {
	h := newHouse()
	h.add("disk", "0000000000")
	g := newGate("create", "disk")
	h.hook = g.hold
	m := mountHouse(t, h)
	const writers = 8
	files := make(chan *os.File, writers)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			f, err := os.OpenFile(m.path("disk"), os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			files <- f
		})
	}
	g.wait(t)
	time.Sleep(50 * time.Millisecond) // for the others to come, where nothing holds them
	close(g.open)
	all.Wait()
	close(files)
	i := 0
	for f := range files {
		must(f.WriteAt([]byte{byte('a' + i)}, int64(i)))
		i++
		t.Cleanup(func() { f.Close() })
	}
	m.want("disk", "abcdefgh00"[:i]+"0000000000"[i:])
	if n := len(m.ends()); n != 1 || m.ends()[""] != 1 {
		t.Errorf("drafts: %v", m.ends())
	}
}

func TestReadOnlyHandles(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	f := must(os.Open(m.path("disk")))
	defer f.Close()
	wantErr(t, f.Truncate(1), syscall.EINVAL)
	if _, err := f.WriteString("x"); err == nil {
		t.Error("a write through a handle for reading succeeded")
	}
	if err := f.Sync(); err != nil {
		t.Errorf("fsync: %v", err)
	}
	at, err := f.Seek(0, seekHole)
	if err != nil || at != 10 {
		t.Errorf("the hole is at %d (%v), want 10", at, err)
	}
	if n := len(m.ends()); n != 0 {
		t.Errorf("%d drafts were made", n)
	}
}

// Who reads goes on reading while the entry gets another image, and never sees an
// error of the change itself.
func TestReadOverAnEdit(t *testing.T) {
	h := newHouse()
	old := h.add("disk", "0123456789")
	g := newGate("read", old.ID)
	h.hook = g.hold
	m := mountHouse(t, h)
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	r := &handle{node: n}
	m.server.fs.countHandle(1)
	defer r.release()
	read := func() (string, error) {
		b, err := r.read(t.Context(), make([]byte, 4), 0)
		if err != nil {
			return "", err
		}
		defer b.Release()
		return string(bytes.Join(b.Slices(), nil)), nil
	}
	early := soon(func() error { _, err := read(); return err })
	g.wait(t)
	m.write("disk", "new")
	m.settled()
	// Another read of the same handle goes to the new image and closes the old reader.
	if got, err := read(); err != nil || got != "new" {
		t.Errorf("reading the new image: %q, %v", got, err)
	}
	close(g.open)
	if err := result(t, early); err != nil {
		t.Errorf("the read that was under way: %v", err)
	}
}

// An open for writing waits while a release commits: that commit takes the bytes
// that were there at the last close, and not half of what the new writer writes.
// What is read meanwhile are the bytes that it commits.
func TestOpenWhileItSettles(t *testing.T) {
	h := newHouse()
	g := newGate("begin commit", "new") // the draft can still be written
	h.hook = g.hold
	m := mountHouse(t, h)
	// The shell forks: the last close is not by who opened it, and left to release. That one's
	// close, before which nothing is written, commits nothing.
	closed := filepath.Join(t.TempDir(), "closed")
	if err := syscall.Mkfifo(closed, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `exec 3>new; (read go <"$0"; echo data >&3; exec 3>&-) & exec 3>&-; echo >"$0"; wait`, closed)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	g.wait(t)
	m.want("new", "data\n")
	added := soon(func() error {
		f, err := os.OpenFile(m.path("new"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("DA"), 0)
		return errors.Join(err, f.Close())
	})
	select {
	case err := <-added:
		t.Errorf("the open did not wait for the commit (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	if err := result(t, added); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("new", "DAta\n")
	if n := m.did("commit", "new"); n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
}

func TestLocalDiskFull(t *testing.T) {
	h := newHouse()
	h.hook = func(_ context.Context, op, what string) error {
		if op == "write" && what == "big" || op == "create" && what == "none" || op == "sync" {
			return &image.Error{Op: op, Kind: image.LocalFull, Err: syscall.ENOSPC}
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.Create(m.path("big")))
	_, err := f.WriteString("x")
	wantErr(t, err, syscall.ENOSPC)
	wantErr(t, f.Sync(), syscall.ENOSPC)
	f.Close()
	_, err = os.Create(m.path("none"))
	wantErr(t, err, syscall.ENOSPC)
	m.absent("none")
}

// A truncation to the length that a file has cuts off what a write was refused beyond it:
// then nothing is missing, and the next one changes nothing.
func TestTruncateAfterARefusedWrite(t *testing.T) {
	h := newHouse()
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "write" {
			return &image.Error{Op: op, Kind: image.TooLarge, Err: syscall.EFBIG}
		}
		return nil
	}
	m := mountHouse(t, h)
	for name, cut := range map[string]func(f *os.File) error{
		"ftruncate": func(f *os.File) error { return f.Truncate(0) },
		"truncate":  func(f *os.File) error { return os.Truncate(f.Name(), 0) },
		"O_TRUNC":   func(f *os.File) error { return must(os.Create(f.Name())).Close() },
	} {
		f := must(os.Create(m.path(name)))
		_, err := f.WriteString("x")
		wantErr(t, err, syscall.EFBIG)
		for range 2 {
			if err := cut(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := m.did("cut off", name); n != 1 {
			t.Errorf("%s: the draft was told %d times", name, n)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A daemon that will not wait says which open file may lack bytes, and not one that has
// just ended in good order.
func TestSyncOfTheMount(t *testing.T) {
	for kind, told := range map[image.Kind]bool{image.LocalFull: true, image.Stale: false} {
		h := newHouse()
		h.hook = func(_ context.Context, op, _ string) error {
			if op == "sync" {
				return &image.Error{Op: op, Kind: kind}
			}
			return nil
		}
		m := mountHouse(t, h)
		f := must(os.Create(m.path("f")))
		must(f.WriteString("x"))
		m.server.Sync(t.Context())
		if got := strings.Contains(m.logged.text(), "level=ERROR"); got != told {
			t.Errorf("%s: told: %v", kind, got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
