package several

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/imagefs/imagefs/test/daemon"
)

// shared are the names that all processes use.
var shared = []string{"shared-a", "shared-b.img", "shared-c.qcow2"}

// worker is one of the processes, and what it is to do.
type worker struct {
	Number int
	Seed   uint64
	Ops    int
	Mount  string
	Local  string
	Turn   string // a file to lock while something is done to a shared name

	rand  *rand.Rand
	trace []string
}

const most = 300_000 // bytes of a file

func (w *worker) work() error {
	w.rand = rand.New(rand.NewPCG(w.Seed, uint64(w.Number)))
	turn, err := os.OpenFile(w.Turn, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer turn.Close()
	own := make([]string, 3)
	for i := range own {
		own[i] = fmt.Sprintf("own-%d-%d", w.Number, i)
	}
	for range w.Ops {
		prefix, names := fmt.Sprintf("own-%d-", w.Number), own
		if together := w.rand.IntN(2) == 0; together {
			prefix, names = "shared-", shared
			if err := syscall.Flock(int(turn.Fd()), syscall.LOCK_EX); err != nil {
				return err
			}
		}
		err := w.step(prefix, names)
		err = errors.Join(err, syscall.Flock(int(turn.Fd()), syscall.LOCK_UN))
		if err != nil {
			return fmt.Errorf("%w\nseed %d, process %d; it did:\n%s", err, w.Seed, w.Number, strings.Join(w.trace, "\n"))
		}
	}
	return nil
}

// step is one operation, with all that was drawn for it.
type step struct {
	prefix   string // of the names that may be used
	name, to string
	off      int64
	data     []byte
	mode     os.FileMode
}

func (s step) open(dir string, flags int, do func(f *os.File) error) outcome {
	f, err := os.OpenFile(filepath.Join(dir, s.name), flags, 0o644)
	if err != nil {
		return of(err)
	}
	return of(errors.Join(do(f), f.Close()))
}

func (s step) all(f *os.File) error { _, err := f.Write(s.data); return err }

// operations are what may be drawn, and how often.
var operations = []struct {
	weight int
	name   string
	do     func(s step, dir string) outcome
}{
	{6, "write", func(s step, dir string) outcome { return s.open(dir, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, s.all) }},
	{3, "append", func(s step, dir string) outcome { return s.open(dir, os.O_WRONLY|os.O_APPEND, s.all) }},
	{2, "make", func(s step, dir string) outcome { return s.open(dir, os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.all) }},
	{4, "write at", func(s step, dir string) outcome {
		return s.open(dir, os.O_RDWR|os.O_CREATE, func(f *os.File) error { _, err := f.WriteAt(s.data, s.off); return err })
	}},
	{2, "truncate", func(s step, dir string) outcome { return of(os.Truncate(filepath.Join(dir, s.name), s.off)) }},
	{8, "read", func(s step, dir string) outcome {
		data, err := os.ReadFile(filepath.Join(dir, s.name))
		o := of(err)
		o.data = data
		return o
	}},
	{4, "stat", func(s step, dir string) outcome {
		st, err := os.Stat(filepath.Join(dir, s.name))
		if err != nil {
			return of(err)
		}
		return outcome{data: fmt.Appendf(nil, "%d %v", st.Size(), st.Mode())}
	}},
	{3, "list", func(s step, dir string) outcome {
		list, err := os.ReadDir(dir)
		o := of(err)
		for _, e := range list {
			if strings.HasPrefix(e.Name(), s.prefix) { // those of others come and go
				o.data = fmt.Appendln(o.data, e.Name())
			}
		}
		return o
	}},
	{3, "rename", func(s step, dir string) outcome {
		return of(os.Rename(filepath.Join(dir, s.name), filepath.Join(dir, s.to)))
	}},
	{3, "remove", func(s step, dir string) outcome { return of(os.Remove(filepath.Join(dir, s.name))) }},
	{2, "chmod", func(s step, dir string) outcome { return of(os.Chmod(filepath.Join(dir, s.name), s.mode)) }},
}

// step draws one operation, and does it on both sides.
func (w *worker) step(prefix string, names []string) error {
	s := step{
		prefix: prefix, name: names[w.rand.IntN(len(names))], to: names[w.rand.IntN(len(names))], off: w.rand.Int64N(most),
		data: pattern(byte(w.rand.Uint32()), 1+w.rand.IntN(most/4)), mode: os.FileMode(0o600 + w.rand.IntN(3)*0o20),
	}
	sum := 0
	for _, op := range operations {
		sum += op.weight
	}
	drawn := w.rand.IntN(sum)
	for _, op := range operations {
		if drawn -= op.weight; drawn >= 0 {
			continue
		}
		what := fmt.Sprintf("%s %s, to %s, at %d, %d bytes, mode %v", op.name, s.name, s.to, s.off, len(s.data), s.mode)
		w.trace = append(w.trace, what)
		want, got := op.do(s, w.Local), op.do(s, w.Mount)
		switch at := daemon.FirstDifference(got.data, want.data); {
		case got.errno != want.errno:
			return fmt.Errorf("%s: the mount says %w, a directory: %w", what, got.errno, want.errno)
		case at >= 0:
			return fmt.Errorf("%s: %d bytes came, want %d; they differ at %d", what, len(got.data), len(want.data), at)
		}
		return nil
	}
	panic("unreachable")
}

// outcome is what an operation has given.
type outcome struct {
	errno syscall.Errno
	data  []byte
}

func of(err error) outcome {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		panic(err)
	}
	return outcome{errno: errno}
}

// pattern is bytes none of which is 0.
func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((i+int(seed))%251) + 1
	}
	return p
}
