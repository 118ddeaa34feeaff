package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
)

// side is one of the two directories in which everything is done.
type side int

const (
	local side = iota
	mount
)

var sides = [...]side{local, mount}

func (s side) String() string { return [...]string{"local", "mount"}[s] }

// world is a mount and the plain directory that it must be like.
type world struct {
	rt          *rapid.T
	began       time.Time
	root        string // of all files of this sequence
	service     *daemon.Service
	daemon      *daemon.Daemon
	passthrough bool

	files   map[string]*file // by name
	handles []*handle
	maps    []*mapping
	touched *file  // by the last step
	last    string // what the last step was
	trace   []string
}

// file is what a name stands for, or an open file that has none any more.
type file struct {
	name string // "" once it was removed or replaced
	// imaged: there may be an image behind it.
	imaged bool
	// lost: bytes of it went with its image, so that there is nothing to compare.
	lost bool
	// dirty: it was written through a mapping since the kernel has last been told to
	// write that back.
	dirty bool
	// untimed: something was done since its time was set last of which only the
	// filesystem knows whether it is a change.
	untimed bool
	ino     uint64 // on the mount; 0 until it was looked at
}

// handle is a file that is open on both sides.
type handle struct {
	fd    [len(sides)]int
	flags int
	file  *file
}

func (h *handle) readable() bool { return h.flags&syscall.O_ACCMODE != syscall.O_WRONLY }
func (h *handle) writable() bool { return h.flags&syscall.O_ACCMODE != syscall.O_RDONLY }
func (h *handle) direct() bool   { return h.flags&syscall.O_DIRECT != 0 }

// result is what an operation gave.
type result struct {
	n     int64
	errno syscall.Errno
	data  []byte
}

func (r result) String() string {
	if r.errno != 0 {
		return fmt.Sprintf("%v (errno %d)", r.errno, int(r.errno))
	}
	return fmt.Sprintf("%d, and %d bytes", r.n, len(r.data))
}

// resultOf is the result of an operation without data.
func resultOf[N int | int64](n N, err error) result {
	if err == nil {
		return result{n: int64(n)}
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		panic(err) // an operation that is no system call
	}
	return result{n: -1, errno: errno}
}

func (w *world) dir(s side) string {
	if s == mount {
		return w.daemon.Mountpoint
	}
	return filepath.Join(w.root, "local")
}

func (w *world) path(s side, name string) string { return filepath.Join(w.dir(s), name) }

// both does one operation on both sides and compares how it ended. f is what it is
// about, nil for nothing.
func (w *world) both(what string, f *file, op func(side) result) result {
	w.rt.Helper()
	w.begin(what, f)
	want := op(local)
	got := w.timed(func() result { return op(mount) })
	if f == nil || !strings.HasPrefix(what, "after ") {
		w.trace[len(w.trace)-1] += ": " + want.String()
	}
	if f != nil && f.name == "" && f.imaged && got.errno == syscall.ESTALE {
		// SEMANTICS: a file whose image was deleted goes on with what is in the cache and
		// gets ESTALE for the rest.
		f.lost = true
		return got
	}
	if f != nil && f.lost {
		return got
	}
	if got.errno != want.errno || got.n != want.n {
		w.rt.Fatalf("%s: the mount says %v, a local directory %v", what, got, want)
	}
	if at := daemon.FirstDifference(got.data, want.data); at >= 0 {
		w.rt.Fatalf("%s: byte %d is %s on the mount, %s locally", what, at, byteAt(got.data, at), byteAt(want.data, at))
	}
	return got
}

// begin notes what is done now.
func (w *world) begin(what string, f *file) {
	w.touched, w.last = f, what
	if !strings.HasPrefix(what, "after ") {
		w.trace = append(w.trace, what)
	}
}

func byteAt(p []byte, at int) string {
	if at >= len(p) {
		return "behind the end"
	}
	return fmt.Sprintf("%#x", p[at])
}

// timed ends the daemon when an operation takes too long, so that it fails.
func (w *world) timed(op func() result) result {
	late := time.AfterFunc(daemon.Patience, func() {
		w.rt.Logf("%s takes more than %s: the daemon is ended, and logs what it was about", w.last, daemon.Patience)
		_ = w.daemon.Signal(syscall.SIGQUIT) // the operation's error is what matters
	})
	defer late.Stop()
	return op()
}

// must fails the sequence: what is behind it is no difference but a broken test.
func (w *world) must(err error) {
	w.rt.Helper()
	if err != nil {
		w.rt.Fatalf("after %s: %v", w.last, err)
	}
}

// newWorld makes a sequence's service, with some images, its mount and its local
// directory with the same files.
func newWorld(rt *rapid.T, root string) *world {
	w := &world{
		rt: rt, began: time.Now(), root: root, files: map[string]*file{},
		passthrough: rapid.Bool().Draw(rt, "passthrough"), last: "the beginning",
	}
	var args []string
	if !w.passthrough {
		args = append(args, "--cache-size", "0") // copies on the disk are what passes through
	}
	if rapid.IntRange(0, 2).Draw(rt, "writeback") == 2 { // rarer: each commit waits a moment
		args = append(args, "--writeback")
	}
	var err error
	w.service, err = daemon.NewService(rt.Context(), filepath.Join(root, "served"))
	w.must(err)
	w.must(os.Mkdir(w.dir(local), 0o755))
	for _, name := range rapid.SliceOfNDistinct(names, 0, 3, rapid.ID).Draw(rt, "images that are there") {
		data := pattern(rapid.Byte().Draw(rt, "seed"), sizes.Draw(rt, "size"))
		w.must(os.WriteFile(filepath.Join(w.dir(local), name), data, 0o644))
		_, err = w.service.Upload(rt.Context(), image.New{Name: name}, data)
		w.must(err)
		w.files[name] = &file{name: name, imaged: true}
	}
	w.daemon, err = daemon.New(binary, root, append([]string{"--endpoint", w.service.URL()}, args...)...)
	w.must(err)
	return w
}

// close ends everything, however the sequence ended.
func (w *world) close() {
	if w.rt.Failed() && w.daemon != nil {
		w.rt.Logf("the steps:\n%s", strings.Join(w.trace, "\n"))
		w.rt.Logf("the daemon's log ends so:\n%s", w.daemon.Tail())
	}
	for _, m := range w.maps {
		for _, s := range sides {
			_ = syscall.Munmap(m.mem[s]) // what fails here has failed the test
		}
	}
	if w.daemon != nil {
		if err := w.daemon.Kill(); err != nil {
			w.rt.Errorf("killing the daemon: %v", err)
		}
	}
	for _, h := range w.handles {
		for _, s := range sides {
			_ = syscall.Close(h.fd[s])
		}
	}
	if w.service != nil {
		if err := w.service.Close(); err != nil {
			w.rt.Errorf("closing the service: %v", err)
		}
	}
}
