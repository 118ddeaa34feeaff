package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// freed is within which a signal frees who waits here, where what holds them lasts a minute:
	// it tells that each wait can be ended at all, on a machine as busy as may be. That it takes
	// a second is for fs to test, whose clock is not the machine's: TestInterruptIsSeenAtTheNextLook.
	freed = 10 * time.Second
	// lookedAgain is how long a signal that does not mean stop is given to do harm: more
	// than the second after which the daemon looks again.
	lookedAgain = 1250 * time.Millisecond
	// waitSize is the size of the images here: too much to be fetched with another one's.
	waitSize = 1 << 20
)

// Which requests are held.
func isData(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/file")
}
func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/images") && !r.URL.Query().Has("name")
}
func isName(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/images") && r.URL.Query().Has("name")
}
func isRecord(r *http.Request) bool {
	return r.Method == http.MethodGet && regexp.MustCompile(`/images/[^/]*$`).MatchString(r.URL.Path)
}
func isUpload(r *http.Request) bool { return r.Method == http.MethodPut }
func isUpdate(r *http.Request) bool { return r.Method == http.MethodPatch }
func isDelete(r *http.Request) bool { return r.Method == http.MethodDelete }

// A wait is a place where the daemon lets its caller wait.
type wait struct {
	name string // in SEMANTICS
	held func(*http.Request) bool
	op   string // of caller.c
	// path and argument of a caller: of the first three, which are told to stop, or of
	// the last, which is not. None: its own image.
	path, argument func(w *waiting, i int) string
	// first makes what the callers wait behind, once the requests are held.
	first func(w *waiting)
	// before is done before.
	before func(w *waiting)
	// alone: one caller at a time, for the kernel lets only one of them in.
	alone bool
	// requests are held of the callers that wait at once; 0: of some of them, or of none yet.
	requests int
	flags    []string
	// check looks at what the last caller has done.
	check func(w *waiting)
}

// waiting is a wait under test.
type waiting struct {
	*mount
	hold   *hold
	caller string // the program
	images []image.Image
	own    []string // a name for each caller
	behind []*call  // what first has started
}

// waits are all of them.
var waits = []wait{
	{name: "read", held: isData, op: "read"},
	{name: "read with O_DIRECT", held: isData, op: "read directly"},
	{
		name: "read, for a stream", held: isData, op: "read directly", flags: []string{"--streams", "1"},
		first: func(w *waiting) { w.start("read directly", w.path(w.images[4].Name), "") },
	},
	{
		name: "read, for a spool", held: isData, op: "read directly",
		path:     func(w *waiting, _ int) string { return w.path(w.images[0].Name) },
		argument: func(_ *waiting, i int) string { return fmt.Sprint(i * 128 << 10) },
		before:   func(w *waiting) { w.hold.refuseRanges() },
	},
	{name: "readdir", held: isList, op: "readdir", path: func(w *waiting, _ int) string { return w.dir }},
	{name: "lookup", held: isName, op: "stat"},
	{name: "lookup under `.by-id`", held: isRecord, op: "stat", path: func(w *waiting, i int) string { return w.path(".by-id/" + w.images[i].ID) }},
	{
		name: "create", held: isName, op: "create", alone: true,
		path: func(w *waiting, i int) string { return w.path(w.own[i]) },
	},
	{
		name: "unlink", held: isDelete, op: "unlink", alone: true,
		check: func(w *waiting) {
			if left := w.service.images(w.t, w.images[3].Name); len(left) != 0 {
				w.t.Errorf("there is %v", left)
			}
		},
	},
	{
		name: "rename", held: isUpdate, op: "rename", alone: true,
		argument: func(w *waiting, i int) string { return w.path(w.own[i]) },
		check:    func(w *waiting) { w.service.one(w.t, w.own[3]) },
	},
	{
		name: "open, for the permission", held: isData, op: "open",
		argument: func(_ *waiting, i int) string { return []string{"to write", "to read", "to write", "to read"}[i] },
		before: func(w *waiting) { // what another mount has cached
			for _, img := range w.images[:4] {
				if _, err := os.ReadFile(w.path(img.Name)); err != nil {
					w.t.Fatal(err)
				}
			}
			w.until("the copies to be whole", func() bool { return w.status().Cache.Disk.Verified == 4 })
			run(w.t, binary, "unmount", w.dir)
			w.mount = mountOn(w.t, w.service, "--cache-dir", w.cache)
			w.t.Cleanup(w.hold.release)
		},
	},
	{
		name: "open for writing, for a change under way", held: isUpdate, op: "open",
		path:  func(w *waiting, _ int) string { return w.path(w.images[4].Name) },
		first: func(w *waiting) { w.start("setxattr", w.path(w.images[4].Name), "first") },
	},
	{
		name: "write, for a commit", held: isUpload, op: "write", alone: true,
		path:  func(w *waiting, _ int) string { return w.path(w.images[4].Name) },
		first: func(w *waiting) { w.start("close", w.path(w.images[4].Name), "") },
	},
	{
		name: "close that uploads", held: isUpload, op: "close",
		requests: 4, // of one whose record is not answered yet, that may come late
		path:     func(w *waiting, i int) string { return w.path(w.own[i]) },
		check: func(w *waiting) {
			holds(w.t, w.service.one(w.t, w.own[3]), []byte(strings.Repeat("x", 4096)))
			for _, name := range w.own[:3] {
				if left := w.service.images(w.t, name); len(left) != 0 {
					w.t.Errorf("an interrupted close has left %v", left)
				}
			}
		},
	},
	{
		name: "close, for one of four uploads", held: isUpload, op: "close",
		path: func(w *waiting, i int) string { return w.path(w.own[i]) },
		first: func(w *waiting) {
			for i := range 4 {
				w.start("close", w.path(w.own[4+i]), "")
			}
		},
		check: func(w *waiting) { w.service.one(w.t, w.own[3]) },
	},
	{
		name: "fsync", held: isUpdate, op: "fsync", argument: func(*waiting, int) string { return "600" },
		before: func(w *waiting) { // a service that has accepted one change is told of the next ones later
			if err := os.Chmod(w.path(w.images[4].Name), 0o600); err != nil {
				w.t.Fatal(err)
			}
		},
	},
	{name: "truncate by path", held: isUpload, op: "truncate", check: func(w *waiting) {
		if img := w.service.one(w.t, w.images[3].Name); img.Size != 100 {
			w.t.Errorf("it has %d bytes", img.Size)
		}
	}},
	{name: "chmod, chown, utimes", held: isUpdate, op: "chmod", argument: func(*waiting, int) string { return "600" }},
	{
		name: "setxattr, removexattr", held: isUpdate, op: "setxattr", argument: func(*waiting, int) string { return "last" },
		check: func(w *waiting) {
			if got := w.service.one(w.t, w.images[3].Name).Properties["waits"]; got != "last" {
				w.t.Errorf("the property is %q", got)
			}
		},
	},
}

// TestWaits: in every wait that the daemon holds, SIGINT, SIGTERM and SIGKILL free the
// caller; what only stops it for a while, or what it has a handler for, cancels nothing,
// and it gets what it waited for.
func TestWaits(t *testing.T) {
	program := filepath.Join(t.TempDir(), "caller")
	run(t, "gcc", "-Wall", "-Werror", "-O1", "-o", program, "testdata/caller.c")
	s := embedded(t)
	for _, c := range waits {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWaiting(t, s, program, c.flags...)
			if c.before != nil {
				c.before(w)
			}
			var calls []*call
			prepare := func(i int) {
				path, argument := w.path(w.images[i].Name), ""
				if c.path != nil {
					path = c.path(w, i)
				}
				if c.argument != nil {
					argument = c.argument(w, i)
				}
				calls = append(calls, w.prepare(c.op, path, argument))
			}
			if c.first == nil || !c.alone {
				for i := range 4 {
					prepare(i)
				}
			}
			w.hold.keep(c.held)
			if c.first != nil {
				c.first(w)
				w.blocked(w.behind...)
			}
			for i := len(calls); i < 4; i++ {
				prepare(i)
			}
			last := calls[3]
			if !c.alone {
				for _, call := range calls {
					call.begin()
				}
				w.blocked(calls...)
				if c.requests > 0 {
					w.until("the requests to be held", func() bool { return w.hold.holds(c.requests) })
				}
			}
			for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
				if c.alone {
					calls[i].begin()
					w.blocked(calls[i])
				}
				calls[i].stop(sig)
			}
			if c.alone {
				last.begin()
				w.blocked(last)
			}
			last.disturb()
			w.hold.release()
			last.done()
			for _, call := range w.behind {
				call.done()
			}
			if c.check != nil {
				c.check(w)
			}
		})
	}
}

// TestNothingToWaitFor: what is answered from memory waits for no service.
func TestNothingToWaitFor(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "caller")
	run(t, "gcc", "-Wall", "-Werror", "-O1", "-o", program, "testdata/caller.c")
	w := newWaiting(t, services[0], program)
	run(t, "ls", w.dir)
	w.hold.keep(func(*http.Request) bool { return true })
	for _, op := range []string{"statfs", "stat", "readdir"} {
		path := w.dir
		if op == "stat" {
			path = w.path(w.images[0].Name)
		}
		w.start(op, path, "").done()
	}
}

// TestBehindTheDirectoryLock: who waits for the kernel's lock of the directory does not
// do so for longer than what has it may take.
func TestBehindTheDirectoryLock(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "caller")
	run(t, "gcc", "-Wall", "-Werror", "-O1", "-o", program, "testdata/caller.c")
	w := newWaiting(t, services[0], program)
	w.hold.keep(isDelete)
	begun := time.Now()
	first := w.start("unlink", w.path(w.images[0].Name), "")
	w.blocked(first)
	second := w.start("unlink", w.path(w.images[1].Name), "")
	if got := first.result(2 * patience); got != "EIO" {
		t.Errorf("the first got %s", got)
	}
	// The bound is 10 s.
	if took := time.Since(begun); took < 5*time.Second || took > 10*time.Second+freed {
		t.Errorf("the first has held the lock for %v", took)
	}
	w.hold.release()
	second.done()
}

// newWaiting mounts the service behind a hold, with images for callers.
func newWaiting(t *testing.T, s service, program string, flags ...string) *waiting {
	t.Helper()
	w := &waiting{caller: program}
	slug := strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	for i := range 5 {
		name := s.cleanName(t, fmt.Sprintf("%s-%d.img", slug, i))
		w.images = append(w.images, s.upload(t, image.New{Name: name}, noise(uint64(300+i), waitSize)))
	}
	for i := range 8 {
		w.own = append(w.own, s.cleanName(t, fmt.Sprintf("%s-own-%d.img", slug, i)))
	}
	h, s := newHold(t, s)
	w.hold, w.mount = h, mountOn(t, s, flags...)
	t.Cleanup(h.release)
	return w
}

// TestWaitsAreListed: SEMANTICS lists all waits that are tested, and no others.
func TestWaitsAreListed(t *testing.T) {
	text, err := os.ReadFile("../docs/SEMANTICS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Waits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed, tested []string
	for line := range strings.SplitSeq(section, "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			listed = append(listed, strings.TrimPrefix(cells[0], "| "))
		}
	}
	for _, w := range waits {
		tested = append(tested, w.name)
	}
	if len(listed) == 0 || !slices.Equal(listed[1:], tested) {
		t.Errorf("listed are %q, tested %q", listed, tested)
	}
}
