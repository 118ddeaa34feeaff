package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

// Whoever changes a file that is passed through gives its entry another file. Open
// ones go on with the bytes that they had, and the copy is never written to.
func TestChangedWhilePassed(t *testing.T) {
	edit := func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("edited"), 4000); err != nil {
			return errors.Join(err, f.Close())
		}
		return f.Close()
	}
	edited := remoteBytes[:4000] + "edited" + remoteBytes[4006:]
	for name, tc := range map[string]struct {
		change func(p *passable) error
		after  string // what the entry then reads as; "" when it is gone
	}{
		"edit":      {func(p *passable) error { return edit(p.path("disk")) }, edited},
		"overwrite": {func(p *passable) error { return os.WriteFile(p.path("disk"), []byte("new"), 0o600) }, "new"},
		"truncate":  {func(p *passable) error { return os.Truncate(p.path("disk"), 4000) }, remoteBytes[:4000]},
		"truncate at open for reading": {func(p *passable) error {
			f, err := os.OpenFile(p.path("disk"), os.O_RDONLY|os.O_TRUNC, 0)
			if err != nil {
				return err
			}
			return f.Close()
		}, "\x00"},
		"rename over": {func(p *passable) error {
			if err := os.WriteFile(p.path("other"), []byte("other"), 0o600); err != nil {
				return err
			}
			return os.Rename(p.path("other"), p.path("disk"))
		}, "other"},
		"unlink": {func(p *passable) error { return os.Remove(p.path("disk")) }, ""},
		"rename and back": {func(p *passable) error {
			return errors.Join(os.Rename(p.path("disk"), p.path("away")), os.Rename(p.path("away"), p.path("disk")))
		}, remoteBytes},
		"chmod": {func(p *passable) error { return os.Chmod(p.path("disk"), 0o600) }, remoteBytes},
	} {
		t.Run(name, func(t *testing.T) {
			p := mountPassable(t, newHouse())
			old := must(os.Open(p.path("disk")))
			defer old.Close()
			p.passed(1)
			if err := tc.change(p); err != nil {
				t.Fatal(err)
			}
			p.settled()
			if p.read == localBytes {
				if got := string(must(io.ReadAll(old))); got != localBytes {
					t.Errorf("the open file reads as %.40q", got)
				}
			}
			switch tc.after {
			case "":
				p.absent("disk")
			case "\x00": // emptied at open, as any image is: its release commits
				p.eventually("the image to be empty", func() bool { return p.the("disk").Size == 0 })
				p.want("disk", "")
			case remoteBytes:
				p.want("disk", p.read)
				p.passed(1)
			default:
				p.want("disk", tc.after)
				if got := p.content("disk"); got != tc.after {
					t.Errorf("the image has %.40q", got)
				}
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			p.passed(0)
		})
	}
}

// A draft is never passed through, and what it became is, once it has a copy.
func TestDraftIsNotPassed(t *testing.T) {
	p := mountPassable(t, newHouse())
	w := must(os.OpenFile(p.path("disk"), os.O_RDWR, 0))
	r := must(os.Open(p.path("disk")))
	p.passed(0)
	must(w.WriteAt([]byte("edited"), 0))
	got := make([]byte, 6)
	must(r.ReadAt(got, 0))
	if string(got) != "edited" {
		t.Errorf("the reader sees %q", got)
	}
	if err := errors.Join(w.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	p.settled()
	p.eventually("the files to be closed", func() bool { return p.server.OpenHandles() == 0 })
	img, bytes := p.the("disk"), strings.Repeat("A", passedSize)
	p.copies.add(img, bytes)
	f := must(os.Open(p.path("disk")))
	p.passed(1)
	if p.read == localBytes {
		if got := string(must(io.ReadAll(f))); got != bytes {
			t.Errorf("it reads as %.40q", got)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Files opened, read, written and closed by many at once never fail.
func TestPassedByMany(t *testing.T) {
	p := mountPassable(t, newHouse())
	written := strings.Repeat("written.", passedSize/8+1)[:passedSize]
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := os.ReadFile(p.path("disk"))
				if err != nil {
					t.Error(err)
					return
				}
				// Who reads through the daemon sees how the file is written.
				if s := string(got); s != localBytes && s != remoteBytes && !strings.HasPrefix(written, s) {
					t.Errorf("a reader saw %d bytes, %.40q", len(s), s)
				}
			}
		})
	}
	for range 50 {
		if err := os.WriteFile(p.path("disk"), []byte(written), 0o600); err != nil {
			t.Error(err)
			break
		}
		p.copies.add(p.the("disk"), written)
	}
	close(stop)
	all.Wait()
	p.settled()
}

// Where the kernel refuses a copy, the file is read through the daemon.
func TestPassthroughRefused(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	img := h.add("disk", remoteBytes)
	if err := os.Mkdir(c.path(img), 0o700); err != nil { // a directory cannot be read from
		t.Fatal(err)
	}
	m := mountHouse(t, h)
	for range 2 {
		m.want("disk", remoteBytes)
	}
	if off := m.server.Passthrough().Off; off == "" {
		t.Error("passthrough is on")
	}
	if c.out > 1 {
		t.Errorf("asked for %d copies after the refusal", c.out-1)
	}
}

// On a filesystem over another, the mount says so at once.
func TestPassthroughOnOverlay(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	dir := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.dir = dir + "/merged"
	err := unix.Mount("overlay", c.dir, "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work")
	want := "overlayfs"
	if errors.Is(err, unix.EPERM) {
		want = "CAP_SYS_ADMIN"
	} else if err != nil {
		t.Fatal(err)
	} else {
		defer func() {
			if err := unix.Unmount(c.dir, 0); err != nil {
				t.Error(err)
			}
		}()
	}
	img := h.add("disk", remoteBytes)
	c.add(img, localBytes)
	m := mountHouseFor(t, h)
	defer m.unmount()
	if off := m.server.Passthrough().Off; !strings.Contains(off, want) {
		t.Errorf("passthrough is off because %q", off)
	}
	if log := m.logged.text(); strings.Count(log, want) != 1 {
		t.Errorf("log:\n%s", log)
	}
	m.want("disk", remoteBytes)
}

// Copies are given back when the connection is aborted and files stay open.
func TestPassedAndAborted(t *testing.T) {
	h := newHouse()
	c := copiesOf(t, h)
	img := h.add("disk", remoteBytes)
	c.add(img, localBytes)
	m := mountHouseFor(t, h)
	f := must(os.Open(m.path("disk")))
	defer f.Close()
	switch err := unix.Unmount(m.dir, unix.MNT_FORCE|unix.MNT_DETACH); {
	case errors.Is(err, unix.EPERM): // and who may not do that has nothing passed through
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		m.unmount()
		return
	case err != nil:
		t.Fatal(err)
	}
	ended := soon(func() error { m.server.Wait(); return nil })
	if err := result(t, ended); err != nil {
		t.Error(err)
	}
	m.rescue.Stop()
	if n := c.holds(); n != 0 {
		t.Errorf("%d copies are held", n)
	}
}

// Bytes that turn out to be wrong are not read again from the kernel's pages.
func TestBytesChanged(t *testing.T) {
	h := newHouse()
	img := h.add("disk", remoteBytes)
	wrong := false
	var mu sync.Mutex // guards wrong
	reads := 0
	h.hook = func(_ context.Context, op, what string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "read" && what == img.ID {
			reads++
			if wrong {
				return &image.Error{Op: "read", Image: what, Kind: image.Corrupt}
			}
		}
		return nil
	}
	m := mountHouse(t, h)
	paths := []string{m.path("disk"), m.path(byIDName + "/" + img.ID)}
	var open []*os.File
	for _, path := range paths {
		f := must(os.Open(path))
		defer f.Close()
		if !bytes.Equal(must(io.ReadAll(f)), []byte(remoteBytes)) {
			t.Error("it does not read well")
		}
		open = append(open, f)
	}
	mu.Lock()
	before := reads
	wrong = true
	mu.Unlock()
	for _, f := range open { // the kernel has the pages
		must(f.ReadAt(make([]byte, 10), 0))
	}
	mu.Lock()
	if reads != before {
		t.Error("the kernel did not keep its pages: the test tests nothing")
	}
	mu.Unlock()
	m.server.BytesChanged(img.ID)
	for _, f := range open {
		m.eventually("EIO", func() bool {
			_, err := f.ReadAt(make([]byte, 10), 0)
			return errors.Is(err, syscall.EIO)
		})
	}
	m.server.BytesChanged("none")
}
