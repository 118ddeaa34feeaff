package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	// fixedImages are read by all and changed by nobody. Together they are more than both
	// caches hold.
	fixedImages = 6
	fixedSize   = 48<<20 + 4321 // bytes of the first; each other has some more
	fixedMore   = 1 << 20
	// lookPause is between two looks at the directory, which otherwise kept a processor busy.
	lookPause = 50 * time.Millisecond
	// preads of one open file.
	preads = 40
)

func fixedName(i int) string     { return fmt.Sprintf("fixed-%d", i) }
func fixedSeed(i int) uint64     { return mix(uint64(i) + 1) }
func (s *soak) sizeOf(i int) int { return s.fixed + i*fixedMore }

// reads is the work of those that read at random, forwards, and from beginning to end.
func reads(w *worker) {
	i := w.random.IntN(fixedImages)
	m := w.soak.trouble.mark()
	f, err := os.Open(w.soak.path(fixedName(i)))
	if err == nil {
		if w.random.IntN(8) == 0 {
			err = w.readWhole(f, i)
		} else {
			err = w.readParts(f, i)
		}
		_ = f.Close() // of a file that was only read
	}
	w.soak.tally.count("read", err == nil)
	if err != nil {
		w.soak.failed(m, "read: %v", err)
	}
}

func (w *worker) readParts(f *os.File, i int) error {
	size := w.soak.sizeOf(i)
	buffer := make([]byte, 256<<10)
	off := 0
	for range preads {
		n := 1 + w.random.IntN(len(buffer))
		if w.random.IntN(2) == 0 {
			n %= 4096
			n++
		}
		if w.random.IntN(3) > 0 { // otherwise it goes on where it was
			off = w.random.IntN(size)
		}
		n = min(n, size-off)
		if n == 0 {
			off = 0
			continue
		}
		if _, err := f.ReadAt(buffer[:n], int64(off)); err != nil {
			return w.ended(err, i, off)
		}
		w.compare(buffer[:n], i, off)
		off += n
	}
	return nil
}

func (w *worker) readWhole(f *os.File, i int) error {
	buffer := make([]byte, 512<<10)
	for off := 0; ; {
		n, err := f.Read(buffer)
		w.compare(buffer[:n], i, off)
		off += n
		if errors.Is(err, io.EOF) && off == w.soak.sizeOf(i) {
			return nil
		}
		if err != nil {
			return w.ended(err, i, off)
		}
	}
}

// ended is an error of reading; a file that seems to end early is a lie.
func (w *worker) ended(err error, i, off int) error {
	if errors.Is(err, io.EOF) {
		w.soak.fail("%s ends at %d or soon after, not at %d", fixedName(i), off, w.soak.sizeOf(i))
	}
	return err
}

func (w *worker) compare(got []byte, i, off int) {
	want := make([]byte, len(got))
	fill(want, fixedSeed(i), int64(off))
	if at := firstDifference(got, want); at >= 0 {
		w.soak.fail("%s differs at %d", fixedName(i), off+at)
	}
	w.soak.tally.compared(len(got))
}

// listings is the work of those that look at the directory: what nobody changes is there
// once in each listing.
func listings(w *worker) {
	w.soak.sleep(lookPause)
	dir := w.soak.daemon.Mountpoint
	var o outcome
	switch w.random.IntN(4) {
	case 0:
		o = w.run("ls", "-1U", dir)
	case 1:
		o = w.run("find", dir, "-ignore_readdir_race", "-type", "f", "-size", "+0", "-printf", `%f\n`)
	case 2:
		i := w.random.IntN(fixedImages)
		o = w.run("stat", "-c", "%s", w.soak.path(fixedName(i)))
		if o.ok && strings.TrimSpace(o.out) != fmt.Sprint(w.soak.sizeOf(i)) {
			w.soak.fail("%s has %q bytes, want %d", fixedName(i), o.out, w.soak.sizeOf(i))
		}
		return
	default:
		w.run("df", dir)
		return
	}
	if !o.ok {
		return
	}
	seen := map[string]int{}
	for line := range strings.Lines(o.out) {
		seen[strings.TrimSpace(line)]++
	}
	for i := range fixedImages {
		if seen[fixedName(i)] == 0 {
			w.soak.fail("a listing of %d lacks %s", len(seen), fixedName(i))
		}
	}
	for name, n := range seen {
		if n > 1 {
			w.soak.fail("a listing has %s %d times", name, n)
		}
	}
}
