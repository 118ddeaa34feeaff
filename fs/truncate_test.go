package fs

import (
	"io"
	"os"
	"syscall"
	"testing"
)

func TestTruncations(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	m.want("disk", "0123456789")

	// truncate(2) has no close: it commits before it answers.
	if err := os.Truncate(m.path("disk"), 4); err != nil {
		t.Fatal(err)
	}
	if n, got := m.did("commit", "disk"), m.content("disk"); n != 1 || got != "0123" {
		t.Errorf("after truncate: %d commits, content %q", n, got)
	}
	m.want("disk", "0123")
	m.settled()
	if err := os.Truncate(m.path("disk"), 4); err != nil { // the size it has
		t.Fatal(err)
	}
	if n := m.did("commit", "disk"); n != 1 {
		t.Errorf("a truncation to the same size made a commit")
	}
	if err := os.Truncate(m.path("disk"), 0); err != nil {
		t.Fatal(err)
	}
	if n, got := m.did("commit", "disk"), m.content("disk"); n != 2 || got != "" {
		t.Errorf("after truncate to nothing: %d commits, content %q", n, got)
	}

	// A truncation by open alone: no close commits it, the release does.
	m.write("disk", "again")
	m.settled()
	f := must(os.OpenFile(m.path("disk"), os.O_WRONLY|os.O_TRUNC, 0))
	if err := syscall.Close(must(syscall.Dup(int(f.Fd())))); err != nil {
		t.Fatal(err)
	}
	if got := m.content("disk"); got != "again" {
		t.Errorf("a close after O_TRUNC alone has committed: %q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("disk", "")
	if got := m.content("disk"); got != "" || m.the("disk").ID == "" {
		t.Errorf("the truncation was lost: %q", got)
	}
}

// Linux truncates a file that is opened for reading only, too.
func TestTruncatedByReader(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("disk"), os.O_RDONLY|os.O_TRUNC, 0))
	if got := must(io.ReadAll(f)); len(got) != 0 {
		t.Errorf("it reads as %q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if got := m.content("disk"); got != "" {
		t.Errorf("the image still has %q", got)
	}
}

// O_TRUNC by one process while another writes: both act on one draft.
func TestTruncateWhileAnotherWrites(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	a := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	must(a.WriteAt([]byte("abc"), 0))
	b := must(os.OpenFile(m.path("disk"), os.O_WRONLY|os.O_TRUNC, 0))
	must(b.WriteString("B"))
	must(a.WriteAt([]byte("Z"), 2))
	m.want("disk", "B\x00Z")
	for _, f := range []*os.File{b, a} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m.settled()
	m.want("disk", "B\x00Z")
	if got := m.content("disk"); got != "B\x00Z" {
		t.Errorf("the image has %q", got)
	}
}
