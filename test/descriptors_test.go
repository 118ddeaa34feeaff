package test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A daemon without descriptors says so to who creates a file, keeps what is open
// going, and recovers when descriptors are free again.
func TestNoDescriptorsLeft(t *testing.T) {
	s := services[0]
	m := mountOn(t, s)
	pid := m.daemon.Process.Pid
	limit := limitOf(t, pid)
	if limit.Cur != limit.Max {
		t.Errorf("the daemon may open %d files, though %d are allowed", limit.Cur, limit.Max)
	}
	first := s.cleanName(t, "first.img")
	f, err := os.Create(m.path(first))
	if err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	setLimit(t, pid, unix.Rlimit{Cur: uint64(len(open)), Max: limit.Max})
	var more []*os.File
	for {
		g, err := os.Create(m.path("more" + strconv.Itoa(len(more)) + ".img"))
		if err != nil {
			if !errors.Is(err, syscall.ENFILE) {
				t.Errorf("without descriptors: %v, want ENFILE", err)
			}
			break
		}
		if more = append(more, g); len(more) > len(open) {
			t.Fatal("the limit does not hold")
		}
	}
	m.until("the log to say so", func() bool { return strings.Contains(m.log.String(), "no file descriptors left") })
	setLimit(t, pid, limit)
	for _, g := range more {
		if err := errors.Join(os.Remove(g.Name()), g.Close()); err != nil {
			t.Error(err)
		}
	}
	data := noise(90, 1<<20)
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, s.one(t, first), data)
}

func limitOf(t *testing.T, pid int) unix.Rlimit {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	return limit
}

func setLimit(t *testing.T, pid int, limit unix.Rlimit) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}
