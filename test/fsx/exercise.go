package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	page  = 4096      // bytes, of the kernel's cache
	most  = 700 << 10 // bytes of the file: some blocks of the cache, and of the kernel's requests
	piece = 96 << 10  // bytes, of one operation
	told  = 25        // operations that an error tells
)

// exerciser is one file and what must be in it.
type exerciser struct {
	path string
	rand *rand.Rand
	fd   int
	want []byte
	last []string // the last operations
	seal byte     // what is written next: never the same twice in a row, and not 0

	remount func() error // nil: it cannot be
}

// exercise does so many operations to a file, and compares what is in it at the end
// once more. remount takes the filesystem away and brings it back while the file is
// closed; nil for one that stays.
func exercise(path string, seed uint64, ops int, remount func() error) error {
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	e := &exerciser{path: path, rand: rand.New(rand.NewPCG(seed, 0)), want: want, remount: remount, fd: -1}
	err = e.open()
	for i := 0; i < ops && err == nil; i++ {
		err = e.step(i)
	}
	if err == nil {
		e.note(ops, "the end")
		err = e.again()
	}
	err = errors.Join(err, syscall.Close(e.fd))
	if err != nil {
		return fmt.Errorf("%w\nseed %d; the last operations:\n%s", err, seed, strings.Join(e.last, "\n"))
	}
	return nil
}

// weights are how often each operation is drawn.
var weights = []struct {
	of int
	do func(e *exerciser, i int) error
}{
	{20, (*exerciser).write}, {12, (*exerciser).mapWrite}, {20, (*exerciser).read}, {12, (*exerciser).mapRead},
	{6, (*exerciser).truncate}, {5, (*exerciser).punch}, {5, (*exerciser).zero}, {3, (*exerciser).allocate},
	{4, (*exerciser).sync}, {4, (*exerciser).drop}, {2, (*exerciser).reopen},
}

func (e *exerciser) step(i int) error {
	if e.remount != nil && e.rand.IntN(250) == 0 {
		e.note(i, "remount")
		if err := errors.Join(syscall.Close(e.fd), e.remount(), e.open()); err != nil {
			return err
		}
		return e.compare(0, len(e.want))
	}
	sum := 0
	for _, w := range weights {
		sum += w.of
	}
	drawn := e.rand.IntN(sum)
	for _, w := range weights {
		if drawn -= w.of; drawn < 0 {
			return w.do(e, i)
		}
	}
	panic("unreachable")
}

func (e *exerciser) note(i int, format string, args ...any) {
	if len(e.last) == told {
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, fmt.Sprintf("%6d  ", i)+fmt.Sprintf(format, args...))
}

func (e *exerciser) open() (err error) {
	e.fd, err = syscall.Open(e.path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
	return err
}

// again closes the file, opens it, and reads all of it past the kernel's pages.
func (e *exerciser) again() error {
	if err := errors.Join(syscall.Close(e.fd), e.open()); err != nil {
		return err
	}
	return errors.Join(unix.Fadvise(e.fd, 0, 0, unix.FADV_DONTNEED), e.compare(0, len(e.want)))
}

func (e *exerciser) reopen(i int) error {
	e.note(i, "close, open and read all")
	return e.again()
}

// span draws a piece that begins within limit.
func (e *exerciser) span(limit int) (off, n int) {
	off, n = e.rand.IntN(max(limit, 1)), 1+e.rand.IntN(piece)
	if e.rand.IntN(4) == 0 { // at the edges of pages
		off, n = off/page*page, (n+page-1)/page*page
	}
	return off, n
}

// within draws a piece of what is there; none of an empty file.
func (e *exerciser) within() (off, n int) {
	off, n = e.span(len(e.want))
	return off, max(min(n, len(e.want)-off), 0)
}

// put is what the file has after a write of p.
func (e *exerciser) put(p []byte, off int) {
	e.grow(off + len(p))
	copy(e.want[off:], p)
}

func (e *exerciser) grow(size int) {
	if size > len(e.want) {
		e.want = append(e.want, make([]byte, size-len(e.want))...)
	}
}

func (e *exerciser) fresh(n int) []byte {
	e.seal = e.seal%255 + 1
	return bytes.Repeat([]byte{e.seal}, n)
}

// compare reads a piece.
func (e *exerciser) compare(off, n int) error {
	got := make([]byte, n)
	for done := 0; done < n; {
		r, err := syscall.Pread(e.fd, got[done:], int64(off+done))
		if err != nil || r == 0 {
			return errors.Join(err, fmt.Errorf("read of %d at %d: %d came, of a file of %d", n, off, done, len(e.want)))
		}
		done += r
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(e.fd, &st); err != nil || st.Size != int64(len(e.want)) {
		return errors.Join(err, fmt.Errorf("the size is %d, want %d", st.Size, len(e.want)))
	}
	return differ(got, e.want[off:off+n], off)
}

func differ(got, want []byte, off int) error {
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d is %#x, want %#x", off+i, got[i], want[i])
		}
	}
	return nil
}
