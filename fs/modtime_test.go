package fs

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var longAgo = time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)

func (m *mounted) modified(name string) time.Time {
	m.t.Helper()
	return must(os.Stat(m.path(name))).ModTime()
}

// O_TRUNC changes the bytes of a file that others have open, and so its time.
func TestTimeAfterTruncatingOpen(t *testing.T) {
	m := mountHouse(t, newHouse())
	f := must(os.Create(m.path("new")))
	defer f.Close()
	must(f.WriteString("x"))
	if err := os.Chtimes(m.path("new"), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	if err := must(os.OpenFile(m.path("new"), os.O_WRONLY|os.O_TRUNC, 0)).Close(); err != nil {
		t.Fatal(err)
	}
	if at := m.modified("new"); !at.After(longAgo) {
		t.Errorf("after O_TRUNC the time is %v, as it was set before", at)
	}
}

// Opening an empty file for writing changes nothing yet, with O_TRUNC neither.
func TestTimeOfOpenedEmptyFile(t *testing.T) {
	m := mountHouse(t, newHouse())
	m.write("empty", "")
	m.settled()
	if err := os.Chtimes(m.path("empty"), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	f := must(os.OpenFile(m.path("empty"), os.O_WRONLY|os.O_TRUNC, 0))
	defer f.Close()
	if err := must(os.OpenFile(m.path("empty"), os.O_WRONLY|os.O_TRUNC, 0)).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(m.path("empty"), 0); err != nil {
		t.Fatal(err)
	}
	if at := m.modified("empty"); !at.Equal(longAgo) {
		t.Errorf("nothing was written, and the time is %v", at)
	}
	must(f.WriteString("x"))
	if at := m.modified("empty"); !at.After(longAgo) {
		t.Errorf("it was written, and the time is %v", at)
	}
}

// What was set on a draft is not lost when its close finds no bytes to commit.
func TestAttributesWithoutBytesToCommit(t *testing.T) {
	m := mountHouse(t, newHouse())
	m.write("disk", "0123456789")
	m.settled()
	f := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	// A hole behind the end changes no byte.
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100, 10); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chtimes(m.path("disk"), longAgo, longAgo), f.Chmod(0o600), f.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.settled()
	if n := m.did("commit", "disk"); n != 1 {
		t.Errorf("%d commits of one write", n)
	}
	if st := must(os.Stat(m.path("disk"))); !st.ModTime().Equal(longAgo) || st.Mode() != 0o600 {
		t.Errorf("it shows %v %v", st.Mode(), st.ModTime())
	}
	if a := m.the("disk").Attributes(); a.ModTime == nil || !a.ModTime.Equal(longAgo) || a.Mode == nil || *a.Mode != 0o600 {
		t.Errorf("the record has %+v", a)
	}
}

// A file whose name was removed, or went to another, has no links left.
func TestLinksOfRemovedFiles(t *testing.T) {
	m := mountHouse(t, newHouse())
	links := func(f *os.File) uint64 {
		var st syscall.Stat_t
		if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return uint64(st.Nlink)
	}
	for name, lose := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { m.write("other", "y"); return os.Rename(m.path("other"), path) },
	} {
		m.write(name, "x")
		f := must(os.Open(m.path(name)))
		defer f.Close()
		if n := links(f); n != 1 {
			t.Errorf("%s: %d links before", name, n)
		}
		if err := lose(m.path(name)); err != nil {
			t.Fatal(err)
		}
		if n := links(f); n != 0 {
			t.Errorf("%s: %d links after", name, n)
		}
	}
}

// An empty file that was written to and is empty again when it is closed keeps what
// was set on it, though there is no byte to commit.
func TestAttributesOfEmptyAgain(t *testing.T) {
	for what, change := range map[string][]func(*Options){"at close": nil, "behind": {quickly}} {
		t.Run(what, func(t *testing.T) {
			m := mountHouse(t, newHouse(), change...)
			m.write("f", "")
			m.settled()
			f := must(os.OpenFile(m.path("f"), os.O_WRONLY, 0))
			must(f.WriteString("data"))
			if err := errors.Join(f.Truncate(0), f.Chmod(0o600), f.Close()); err != nil {
				t.Fatal(err)
			}
			m.settled()
			if a := m.the("f").Attributes(); a.Mode == nil || *a.Mode != 0o600 {
				t.Errorf("the image has %+v", a)
			}
		})
	}
}
