package fs

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// What the time of a file was before it was closed, it is after.
func TestTimeStaysOverClose(t *testing.T) {
	m := mountHouse(t, newHouse())
	f := must(os.Create(m.path("new")))
	must(f.WriteString("x"))
	before := must(f.Stat()).ModTime()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	var after fuse.Attr // the kernel may still answer from what it was told before
	errno := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "new"))).attr(&after)
	if at := after.ModTime(); errno != 0 || !at.Equal(before) {
		t.Errorf("mtime was %v before close and is %v after (%v)", before, at, errno)
	}
}

// Whoever closes says whether its bytes are in the service.
func TestFailedCommit(t *testing.T) {
	h := newHouse()
	h.add("old", "what was there")
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "commit" {
			return &image.Error{Op: "upload", Kind: image.Quota}
		}
		return nil
	}
	m := mountHouse(t, h)
	m.want("old", "what was there")
	for _, name := range []string{"new", "old"} {
		f := must(os.OpenFile(m.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644))
		must(f.WriteString("never to be seen again"))
		wantErr(t, f.Close(), syscall.EDQUOT)
	}
	m.settled()
	m.eventually("the new entry to go", func() bool { _, err := os.Stat(m.path("new")); return os.IsNotExist(err) })
	// The pages of the draft are dropped aside; nobody reads them for long.
	m.eventually("the old bytes to be back", func() bool {
		got, err := os.ReadFile(m.path("old"))
		return err == nil && string(got) == "what was there"
	})
	if ends := m.ends(); ends["failed"] != 2 {
		t.Errorf("drafts ended %v", ends)
	}
}

// A second close without new bytes repeats the answer; new bytes are a new try.
func TestCloseRepeatsTheAnswer(t *testing.T) {
	h := newHouse()
	var mu sync.Mutex
	refuse := true
	h.hook = func(_ context.Context, op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "commit" && refuse {
			return &image.Error{Op: "upload", Kind: image.Full}
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	must(f.WriteString("one"))
	for range 2 {
		wantErr(t, syscall.Close(must(syscall.Dup(int(f.Fd())))), syscall.ENOSPC)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	must(f.WriteString(" two"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("new", "one two")
	if n := m.did("commit", "new"); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
}

// Close by a child or of a duplicate is not the close of the file.
func TestShellRedirections(t *testing.T) {
	m := mountHouse(t, newHouse())
	for _, c := range []struct {
		script, want string
		commits      int
	}{
		{"echo one > f", "one\n", 1},
		{"{ echo one; sh -c 'echo two'; echo three; } > f", "one\ntwo\nthree\n", 1},
		{"exec 3>f; sh -c 'echo one >&3'; sh -c 'echo two >&3'", "one\ntwo\n", 1},
		{"(echo one; sh -c 'echo two') > f", "one\ntwo\n", 1},
		{"sh -c 'echo zero' > f; sh -c 'echo one' >> f", "zero\none\n", 2},
	} {
		cmd := exec.Command("sh", "-c", c.script)
		cmd.Dir = m.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c.script, err, out)
		}
		m.settled()
		m.want("f", c.want)
		if n := m.did("commit", "f"); n != c.commits {
			t.Errorf("%s: %d commits, want %d", c.script, n, c.commits)
		}
		m.mu.Lock()
		m.log = nil
		m.mu.Unlock()
		if err := os.Remove(m.path("f")); err != nil {
			t.Fatal(err)
		}
	}
}

// Room reserved in a new file is nothing to commit at its close, and yet the file
// stays.
func TestReservedRoomOnly(t *testing.T) {
	m := mountHouse(t, newHouse())
	f := must(os.Create(m.path("new")))
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	if err := syscall.Fallocate(int(f.Fd()), keepSize, 0, 4096); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("new", "")
	if m.the("new").Size != 0 {
		t.Error("it is not empty")
	}
}
