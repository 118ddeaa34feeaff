package test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

var (
	kills    = flag.Int("kills", 200, "how often TestKilledUnderLoad kills the daemon")
	killSeed = flag.Uint64("kill-seed", 0, "what its writers do; 0: something new")
)

const (
	killWriters = 4       // of one mount
	killNames   = 4       // of each writer
	killLargest = 1 << 20 // bytes of a file
	killPatch   = 5000    // bytes that are edited or appended
	// A kill comes at most so long after at most so many calls were answered.
	killCalls = 12
	killAfter = 50 * time.Millisecond
	// killAgain is how long at most after a mount its daemon is killed in one of
	// killAgainOf cases: in the middle of its recovery.
	killAgain   = 100 * time.Millisecond
	killAgainOf = 4
)

// A daemon that is killed at any time, under writers who create, overwrite, edit,
// append to, rename and remove files, and while it recovers from that: what a close or
// another call has answered is so after the next mount, what it has not answered has
// happened or not, each draft is committed or listed, and the service has no image more
// than that.
func TestKilledUnderLoad(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kill-seed %d", seed)
	for i, c := range []struct {
		what  string
		args  []string
		kills int
	}{
		// Several mounts at once have the processors busy while others wait.
		{"one", nil, *kills * 2 / 5},
		{"two", nil, *kills * 2 / 5},
		{"writeback", []string{"--writeback"}, *kills / 5},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, embedded(t), rand.New(rand.NewPCG(seed, uint64(i))), c.args...)
			for range c.kills {
				l.killOnce()
			}
			t.Logf("%d calls were answered, %d were not", l.answered.Load(), l.broken.Load())
			if l.broken.Load() == 0 || l.answered.Load() < int64(c.kills) {
				t.Error("the writers hardly wrote")
			}
		})
	}
}

// A load is a mount and its writers.
type load struct {
	t                *testing.T
	s                service
	m                *mount
	root             *os.Root // of the mount: after a kill nobody is to find what lies beneath
	args             []string // of each mount
	random           *rand.Rand
	writers          []*loadWriter
	killed           atomic.Bool // from just before the kill on
	answered, broken atomic.Int64
}

// loadWriter is one of them, with names of its own.
type loadWriter struct {
	load   *load
	random *rand.Rand
	names  []string
	// may has what each name may hold: one thing, and after a call that was not answered
	// also another. nil stands for no file.
	may map[string][][]byte
	// past is all that its names ever held. A file that waits may have been renamed
	// with the image under it, so that image's content can show at a new name.
	past [][]byte
	// failed are the names of the call that was not answered.
	failed []string
	// changed is the name whose bytes such a call was changing, where closes are answered
	// before their commits.
	changed string
	// moved is the content that a rename may have moved; it must be at one of the names.
	moved []byte
}

func newLoad(t *testing.T, s service, random *rand.Rand, args ...string) *load {
	l := &load{t: t, s: s, args: args, random: random}
	for w := range killWriters {
		writer := &loadWriter{load: l, random: rand.New(rand.NewPCG(random.Uint64(), 0)), may: map[string][][]byte{}}
		for n := range killNames {
			name := fmt.Sprintf("w%d-%d.img", w, n)
			writer.names, writer.may[name] = append(writer.names, name), [][]byte{nil}
		}
		l.writers = append(l.writers, writer)
	}
	l.m = mountOn(t, s, args...)
	return l
}

// killOnce lets the writers work, kills the daemon, mounts anew and looks at what is
// there.
func (l *load) killOnce() {
	l.t.Helper()
	l.killed.Store(false)
	root, err := os.OpenRoot(l.m.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	l.root = root
	var group sync.WaitGroup
	for _, w := range l.writers {
		group.Go(func() {
			for w.work() {
			}
		})
	}
	calls := l.answered.Load() + l.random.Int64N(killCalls)
	l.m.until("calls to be answered", func() bool { return l.answered.Load() >= calls })
	<-time.After(rand.N(killAfter)) // the test's subject: a kill at any time
	l.killed.Store(true)
	l.kill()
	group.Wait()
	if err := root.Close(); err != nil {
		l.t.Error(err)
	}
	l.m = l.m.afresh(l.args...)
	for l.random.IntN(killAgainOf) == 0 {
		<-time.After(rand.N(killAgain))
		l.kill()
		l.m = l.m.afresh(l.args...)
	}
	l.m.recovered()
	l.check()
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// kill ends the daemon, and the kernel's connection by force: without that the kernel
// may keep a part of the daemon. It starts no program, for a child of ours could wait
// for an open file of the mount as it begins.
func (l *load) kill() {
	l.t.Helper()
	if err := l.m.daemon.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	if err := unix.Unmount(l.m.dir, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
		l.t.Fatal(err)
	}
	<-l.m.ended
}

// work makes one change; false when the daemon is gone.
func (w *loadWriter) work() bool {
	name, other := w.names[w.random.IntN(killNames)], w.names[w.random.IntN(killNames)]
	root, now := w.load.root, w.may[name][0]
	data := noise(w.random.Uint64(), 1+w.random.IntN(killLargest))
	patch := data[:min(len(data), killPatch)]
	var next []byte // what the name will hold
	var err error
	maybe := true // a call that was not answered may have happened
	switch op := w.random.IntN(10); {
	case now == nil || op < 4: // made, or written over
		next = data
		maybe, err = write(root, name, os.O_CREATE|os.O_TRUNC, func(f *os.File) error {
			for len(data) > 0 && err == nil {
				n := min(len(data), 128<<10)
				_, err = f.Write(data[:n])
				data = data[n:]
			}
			return err
		})
	case op < 6: // edited
		off := w.random.IntN(len(now))
		next = append(bytes.Clone(now), make([]byte, max(0, off+len(patch)-len(now)))...)
		copy(next[off:], patch)
		maybe, err = write(root, name, 0, func(f *os.File) error {
			_, err := f.WriteAt(patch, int64(off))
			return err
		})
	case op < 7: // appended to
		next = append(bytes.Clone(now), patch...)
		maybe, err = write(root, name, os.O_APPEND, func(f *os.File) error {
			_, err := f.Write(patch)
			return err
		})
	case op < 9 && other != name: // renamed, also over another
		if err = root.Rename(name, other); err == nil {
			w.may[other] = [][]byte{now}
		} else {
			w.may[other] = append(w.may[other], now)
			w.moved = now
		}
	default:
		err = root.Remove(name)
	}
	w.past = append(w.past, now, next)
	switch {
	case err == nil:
		w.may[name] = [][]byte{next}
		w.load.answered.Add(1)
		return true
	case !w.load.killed.Load():
		w.load.t.Errorf("%s: %v", name, err)
	case maybe:
		w.may[name] = append(w.may[name], next)
	}
	w.failed = []string{name, other}
	if slices.Contains(w.load.args, "--writeback") && w.moved == nil {
		w.changed = name
	}
	w.load.broken.Add(1)
	return false
}

// write opens a file, has it written and closes it. Where that fails before the close,
// nothing of it may ever be published.
func write(root *os.Root, name string, how int, work func(*os.File) error) (maybe bool, err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|how, 0o644)
	if err != nil {
		return false, err
	}
	if err := work(f); err != nil {
		return false, errors.Join(err, f.Close())
	}
	return true, f.Close()
}

// check compares the service and staging with what the writers know.
func (l *load) check() {
	l.t.Helper()
	found := map[string][]image.Image{}
	for _, img := range l.s.all(l.t) {
		if img.Hidden || img.Status != image.StatusActive || img.Properties[image.PropertyDraft] != "" {
			l.t.Errorf("the service has a part of %s: %+v", img.Name, img)
		}
		found[img.Name] = append(found[img.Name], img)
	}
	kept := l.m.journals()
	var failed, present []string
	for _, w := range l.writers {
		failed = append(failed, w.failed...)
		at := 0
		for _, name := range w.names {
			images := found[name]
			delete(found, name)
			if len(images) > 1 {
				l.t.Errorf("the service has %d of %s: %+v", len(images), name, images)
			}
			var img image.Image
			there := len(images) > 0
			if there {
				img = images[0]
			}
			may := w.may[name]
			if name == w.changed && slices.ContainsFunc(kept, func(r staging.Record) bool { return r.Name == name }) {
				// What a close was answered for and had not been uploaded yet was being
				// written over, as a local file would be: what is left of it is kept.
				may = append(append(may, nil), w.past...)
			}
			i := slices.IndexFunc(may, func(data []byte) bool {
				return (data != nil) == there && (!there || int64(len(data)) == img.Size && sha512Of(data) == img.HashValue)
			})
			if i < 0 {
				l.t.Errorf("%s: the service has %+v, which is none of %d things that it may be", name, img, len(may))
				continue
			}
			w.may[name] = [][]byte{may[i]}
			if there {
				present = append(present, name)
			}
			if w.moved != nil && there && bytes.Equal(may[i], w.moved) {
				at++
			}
		}
		if w.moved != nil && at != 1 {
			l.t.Errorf("a file that was being renamed is now at %d names", at)
		}
		w.moved, w.failed, w.changed = nil, nil, ""
	}
	for name, img := range found {
		l.t.Errorf("nobody has made %s: %+v", name, img)
	}
	for _, r := range kept {
		if r.State != staging.StateOpen || !slices.Contains(failed, r.Name) {
			l.t.Errorf("kept in staging, though its writer has been answered: %+v", r)
		}
	}
	if len(kept) > 0 {
		l.m.discardKept(kept)
	}
	if len(present) > 0 { // as the mount shows it, too
		name := present[l.random.IntN(len(present))]
		for _, w := range l.writers {
			if want, ok := w.may[name]; ok {
				if got, err := os.ReadFile(l.m.path(name)); err != nil || !bytes.Equal(got, want[0]) {
					l.t.Errorf("%s reads as %d bytes, %v; want the %d that the service has", name, len(got), err, len(want[0]))
				}
			}
		}
	}
}

func sha512Of(data []byte) string {
	sum := sha512.Sum512(data)
	return hex.EncodeToString(sum[:])
}
