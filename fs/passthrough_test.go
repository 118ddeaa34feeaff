package fs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// Bytes of the tests' image: more than a page, and not whole pages.
const passedSize = 3*4096 + 100

var (
	remoteBytes = strings.Repeat("service.", passedSize/8+1)[:passedSize]
	localBytes  = strings.Repeat("a copy..", passedSize/8+1)[:passedSize]
)

// passable is a mount with an image "disk" and its copy.
type passable struct {
	*mounted
	copies *fakeCopies
	img    image.Image
	// read is what readers of a file that is passed through see.
	read string
}

func mountPassable(t *testing.T, h *house) *passable {
	t.Helper()
	p := &passable{copies: copiesOf(t, h), img: h.add("disk", remoteBytes), read: localBytes}
	p.copies.add(p.img, localBytes)
	p.mounted = mountHouse(t, h)
	if off := p.server.Passthrough().Off; off != "" {
		if os.Geteuid() == 0 || !strings.Contains(off, "CAP_SYS_ADMIN") {
			t.Fatalf("no passthrough: %s", off)
		}
		p.read = remoteBytes // all must go the same way, through the daemon
	}
	t.Cleanup(func() { p.copies.unchanged(p.img, localBytes) })
	return p
}

// passed checks that so many open files are passed through.
func (p *passable) passed(n int) {
	p.t.Helper()
	if p.read == remoteBytes {
		n = 0
	}
	p.eventually(fmt.Sprintf("%d passed handles", n), func() bool { return p.server.Passthrough().Handles == n })
	p.eventually("the copy to be held while it is used", func() bool { return (p.copies.holds() > 0) == (n > 0) })
}

// A file that lies whole in the cache is read as a local file is, in every way, and
// not through the daemon.
func TestPassthrough(t *testing.T) {
	h := newHouse()
	p := mountPassable(t, h)
	f := must(os.Open(p.path("disk")))
	defer f.Close()
	p.passed(1)
	again := must(os.Open(p.path("disk")))
	defer again.Close()
	byID := must(os.Open(p.path(byIDName + "/" + p.img.ID)))
	defer byID.Close()
	p.passed(3)
	for _, file := range []*os.File{f, again, byID} {
		if got := string(must(io.ReadAll(file))); got != p.read {
			t.Errorf("it reads as %.40q", got)
		}
		if size := must(file.Stat()).Size(); size != passedSize {
			t.Errorf("its size is %d", size)
		}
	}
	rest := make([]byte, 1000)
	if n, err := f.ReadAt(rest, passedSize-10); n != 10 || !errors.Is(err, io.EOF) || string(rest[:n]) != p.read[passedSize-10:] {
		t.Errorf("over the end: %d %q %v", n, rest[:n], err)
	}
	if n, err := f.ReadAt(rest, passedSize+5000); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d %v", n, err)
	}
	fd := int(f.Fd())
	if at, err := unix.Seek(fd, 5, unix.SEEK_HOLE); at != passedSize || err != nil {
		t.Errorf("SEEK_HOLE: %d %v", at, err)
	}
	if at, err := unix.Seek(fd, 5, unix.SEEK_DATA); at != 5 || err != nil {
		t.Errorf("SEEK_DATA: %d %v", at, err)
	}
	if _, err := unix.Seek(fd, passedSize, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		t.Errorf("SEEK_DATA at the end: %v", err)
	}
	for _, advice := range []int{unix.FADV_WILLNEED, unix.FADV_SEQUENTIAL, unix.FADV_RANDOM, unix.FADV_DONTNEED} {
		if err := unix.Fadvise(fd, 0, 0, advice); err != nil {
			t.Errorf("fadvise %d: %v", advice, err)
		}
	}
	p.sends(f)
	if p.read == localBytes { // else a page fault in this process would ask this process
		p.maps(f)
	}
	for _, file := range []*os.File{f, again} {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	p.passed(1)
	if err := byID.Close(); err != nil {
		t.Error(err)
	}
	p.passed(0)
}

// sends copies the file by the calls that let the kernel do it.
func (p *passable) sends(f *os.File) {
	p.t.Helper()
	fd := int(f.Fd())
	for name, send := range map[string]func(to int, off *int64, n int) (int, error){
		"sendfile":        func(to int, off *int64, n int) (int, error) { return unix.Sendfile(to, fd, off, n) },
		"copy_file_range": func(to int, off *int64, n int) (int, error) { return unix.CopyFileRange(fd, off, to, nil, n, 0) },
		"splice": func(to int, off *int64, n int) (int, error) {
			var pipe [2]int
			if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
				return 0, err
			}
			defer unix.Close(pipe[0])
			defer unix.Close(pipe[1])
			got, err := unix.Splice(fd, off, pipe[1], nil, n, 0)
			if err != nil || got == 0 {
				return int(got), err
			}
			moved, err := unix.Splice(pipe[0], nil, to, nil, int(got), 0)
			return int(moved), err
		},
	} {
		path := filepath.Join(p.t.TempDir(), name)
		if name == "copy_file_range" { // Linux does that within one filesystem only
			path = p.path(name)
		}
		out := must(os.Create(path))
		var off int64
		for off < passedSize {
			n, err := send(int(out.Fd()), &off, passedSize-int(off))
			if err != nil || n == 0 {
				p.t.Errorf("%s at %d: %d %v", name, off, n, err)
				break
			}
		}
		if err := out.Close(); err != nil {
			p.t.Error(err)
		}
		if got := string(must(os.ReadFile(path))); got != p.read {
			p.t.Errorf("%s gave %d bytes, %.40q", name, len(got), got)
		}
	}
}

// maps reads the file through mappings, and with O_DIRECT.
func (p *passable) maps(f *os.File) {
	p.t.Helper()
	for name, how := range map[string][2]int{
		"shared":           {unix.PROT_READ, unix.MAP_SHARED},
		"private":          {unix.PROT_READ, unix.MAP_PRIVATE},
		"private writable": {unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE},
	} {
		m, err := unix.Mmap(int(f.Fd()), 0, passedSize, how[0], how[1])
		if err != nil {
			p.t.Errorf("mmap %s: %v", name, err)
			continue
		}
		if string(m) != p.read {
			p.t.Errorf("mmap %s shows %.40q", name, m)
		}
		if how[0]&unix.PROT_WRITE != 0 {
			copy(m, "mine alone")
		}
		if err := unix.Munmap(m); err != nil {
			p.t.Error(err)
		}
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, passedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
		p.t.Errorf("mmap shared and writable: %v, want EACCES", err)
	}
	direct, err := os.OpenFile(p.path("disk"), os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer direct.Close()
	// Anonymous memory begins at a page.
	buf := must(unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))
	if n, err := direct.ReadAt(buf, 4096); n != len(buf) || err != nil || string(buf) != p.read[4096:4096+len(buf)] {
		p.t.Errorf("O_DIRECT: %d %v", n, err)
	}
	if err := unix.Munmap(buf); err != nil {
		p.t.Error(err)
	}
}

// A mapping goes on after the close, when the copy is no longer held, and after the
// copy was evicted.
func TestPassedMappingOutlivesClose(t *testing.T) {
	p := mountPassable(t, newHouse())
	if p.read != localBytes {
		return // a page fault in this process would ask this process
	}
	f := must(os.Open(p.path("disk")))
	m := must(unix.Mmap(int(f.Fd()), 0, passedSize, unix.PROT_READ, unix.MAP_SHARED))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.passed(0)
	if err := os.Rename(p.copies.path(p.img), p.copies.path(p.img)+".away"); err != nil {
		t.Fatal(err)
	}
	p.want("disk", remoteBytes)
	if string(m) != localBytes {
		t.Errorf("the mapping shows %.40q", m)
	}
	if err := unix.Munmap(m); err != nil {
		t.Error(err)
	}
	if err := os.Rename(p.copies.path(p.img)+".away", p.copies.path(p.img)); err != nil {
		t.Fatal(err)
	}
}

// What was opened before the copy was whole is read through the daemon until the
// last such file is closed.
func TestCachedUntilClosed(t *testing.T) {
	p := mountPassable(t, newHouse())
	away := p.copies.path(p.img) + ".away"
	if err := os.Rename(p.copies.path(p.img), away); err != nil {
		t.Fatal(err)
	}
	first := must(os.Open(p.path("disk")))
	if err := os.Rename(away, p.copies.path(p.img)); err != nil {
		t.Fatal(err)
	}
	p.want("disk", remoteBytes)
	second := must(os.Open(p.path("disk")))
	p.passed(0)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := string(must(io.ReadAll(second))); got != remoteBytes {
		t.Errorf("the second reads as %.40q", got)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	p.eventually("the node to be unused", func() bool { return p.server.OpenHandles() == 0 })
	p.want("disk", p.read)
}

// Who opens the file after its copy was removed, or found damaged, gets other bytes than
// those who have it open, and another copy where there is one.
func TestCopyThatDoesNotStand(t *testing.T) {
	p := mountPassable(t, newHouse())
	for _, path := range []string{p.path("disk"), p.path(byIDName + "/" + p.img.ID)} {
		old := must(os.Open(path))
		if err := os.Remove(p.copies.path(p.img)); err != nil {
			t.Fatal(err)
		}
		if got := string(must(os.ReadFile(path))); got != remoteBytes {
			t.Errorf("without a copy it reads as %.40q", got)
		}
		p.eventually("the new file to be closed", func() bool { return p.server.OpenHandles() == 1 })
		p.copies.add(p.img, localBytes) // another file
		fresh := must(os.Open(path))
		p.passed(2)
		if got := string(must(io.ReadAll(fresh))); got != p.read {
			t.Errorf("with another copy it reads as %.40q", got)
		}
		if got := string(must(io.ReadAll(old))); got != p.read {
			t.Errorf("the open file reads as %.40q", got)
		}
		if err := errors.Join(old.Close(), fresh.Close()); err != nil {
			t.Fatal(err)
		}
		p.passed(0)
	}
}
