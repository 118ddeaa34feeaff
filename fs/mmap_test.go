package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mapperEnv makes this binary the child that writes the named file through a
// mapping. A page fault on a mount that the same process serves could stop both.
const mapperEnv = "IMAGEFS_TEST_MAPPER"

// mapped opens a file and maps its first 8 bytes for writing.
func mapped(path string) (*os.File, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, p, nil
}

// mapAndWrite writes through a mapping, before and after the file is closed.
func mapAndWrite(path string) error {
	f, p, err := mapped(path)
	if err != nil {
		return err
	}
	if string(p) != "01234567" {
		return fmt.Errorf("the mapping shows %q", p)
	}
	copy(p, "AB")
	if err := f.Close(); err != nil {
		return err
	}
	copy(p[2:], "CD") // a mapping outlives close
	return unix.Munmap(p)
}

// twiceEnv makes this binary the child that writes the named file through a mapping,
// opens it once more, closes the file of the mapping, and ends when its input does.
const twiceEnv = "IMAGEFS_TEST_TWICE"

func mapAndOpenAgain(path string) error {
	f, p, err := mapped(path)
	if err != nil {
		return err
	}
	other, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	copy(p, "AB")
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, unix.Munmap(p), other.Close())
}

// openMapperEnv and deadMapperEnv make this binary the child that is killed while it
// writes the named file through a mapping, with the file open or closed before.
const (
	openMapperEnv = "IMAGEFS_TEST_OPEN_MAPPER"
	deadMapperEnv = "IMAGEFS_TEST_DEAD_MAPPER"
)

func mapAndDie(path string, closes bool) error {
	f, p, err := mapped(path)
	if err != nil {
		return err
	}
	defer f.Close()
	copy(p, "AB")
	if closes {
		if err := f.Close(); err != nil {
			return err
		}
	}
	copy(p[2:], "CD")
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// toucherEnv makes this binary the child that touches one byte in the middle of the
// named file through a mapping.
const toucherEnv = "IMAGEFS_TEST_TOUCHER"

func touchMapping(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if p[len(p)/2+54321] == 0xff { // never; but the page is read
		return io.EOF
	}
	return unix.Munmap(p)
}

// What is written through a mapping is committed, also after the close.
func TestMapping(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	m.want("disk", "0123456789")
	child := exec.Command(must(os.Executable()))
	child.Env = append(os.Environ(), mapperEnv+"="+m.path("disk"))
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.settled()
	m.want("disk", "ABCD456789")
	if got := m.content("disk"); got != "ABCD456789" {
		t.Errorf("the image has %q", got)
	}
}

// The kernel sends the pages of a mapping through any handle: the close of the mapped
// file answers for them all the same.
func TestMappingBesideAnotherHandle(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	m.want("disk", "0123456789")
	child := exec.Command(must(os.Executable()))
	child.Env = append(os.Environ(), twiceEnv+"="+m.path("disk"))
	in, out := must(child.StdinPipe()), must(child.StdoutPipe())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if got := m.content("disk"); err != nil || got != "AB23456789" {
		t.Errorf("after %q, %v the image has %q", line, err, got)
	}
	if err := errors.Join(in.Close(), child.Wait()); err != nil {
		t.Error(err)
	}
	m.settled()
	if n := m.did("commit", "disk"); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
}

// Who is killed with the mapped file open publishes nothing. Where the file was closed
// before, nobody tells of the end of its mapping but the release.
func TestKilledMapping(t *testing.T) {
	for env, want := range map[string]string{openMapperEnv: "0123456789", deadMapperEnv: "ABCD456789"} {
		t.Run(env, func(t *testing.T) {
			h := newHouse()
			h.add("disk", "0123456789")
			m := mountHouse(t, h)
			child := exec.Command(must(os.Executable()))
			child.Env = append(os.Environ(), env+"="+m.path("disk"))
			endedBy(t, child.Run(), syscall.SIGKILL)
			m.settled()
			if got := m.content("disk"); got != want {
				t.Errorf("the image has %q; drafts ended %v", got, m.ends())
			}
		})
	}
}
