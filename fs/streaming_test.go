package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// mountPaged mounts a house with images, whose listing comes in parts.
func mountPaged(t *testing.T, images, have int) (*mounted, *paged) {
	t.Helper()
	h := newHouse()
	for i := range images {
		h.add(fmt.Sprintf("disk%04d", i), "x")
	}
	p := newPaged(h.entriesLocked(), have)
	h.listing = p
	return mountHouse(t, h), p
}

// dirent is an entry as getdents(2) has it.
type dirent struct {
	ino  uint64
	off  int64
	name string
}

// getdents reads what one call gives; nil at the end.
func getdents(d *os.File, room int) ([]dirent, error) {
	buf := make([]byte, room)
	n, err := unix.Getdents(int(d.Fd()), buf)
	if err != nil {
		return nil, err
	}
	var all []dirent
	for p := buf[:n]; len(p) > 0; {
		size := int(p[16]) | int(p[17])<<8
		e := dirent{name: unix.ByteSliceToString(p[19:size])}
		for i := range 8 {
			e.ino |= uint64(p[i]) << (8 * i)
			e.off |= int64(p[8+i]) << (8 * i)
		}
		all = append(all, e)
		p = p[size:]
	}
	return all, nil
}

// glibcRoom is the buffer that readdir(3) of glibc reads with, in bytes.
const glibcRoom = 32 << 10

// What the service has listed is read before it has listed the rest.
func TestFirstPageBeforeTheRest(t *testing.T) {
	m, p := mountPaged(t, 1000, 300)
	d := must(os.Open(m.dir))
	defer d.Close()
	var seen []dirent
	for len(seen) < 300+len(dots) {
		some, err := getdents(d, glibcRoom)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			t.Fatalf("the directory ends after %d entries", len(seen))
		}
		seen = append(seen, some...)
	}
	if e := seen[len(seen)-1]; e.name != "disk0299" {
		t.Errorf("the last of the first page is %s", e.name)
	}
	rest := soon(func() error {
		for {
			some, err := getdents(d, glibcRoom)
			if err != nil || len(some) == 0 {
				return err
			}
			seen = append(seen, some...)
		}
	})
	p.come(301, nil)
	p.come(1000, nil)
	if err := result(t, rest); err != nil {
		t.Fatal(err)
	}
	for i, e := range seen[len(dots):] {
		if want := fmt.Sprintf("disk%04d", i); e.name != want || e.off != int64(i+len(dots)+1) {
			t.Fatalf("entry %d is %s with the offset %d, want %s", i, e.name, e.off, want)
		}
	}
	if len(seen) != 1000+len(dots) {
		t.Errorf("%d entries", len(seen))
	}
}

// Who waits for a listing is free after Ctrl-C.
func TestInterruptedListing(t *testing.T) {
	h := newHouse()
	h.add("disk", "x")
	waits := make(chan struct{})
	h.listing = waiter{newPaged(make([]Entry, 10), 0), waits}
	m := mountHouse(t, h)
	cmd, ended := shell(t, m, "exec ls -f")
	<-waits
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	endedBy(t, result(t, ended), syscall.SIGINT)
}

// waiter tells when somebody waits.
type waiter struct {
	*paged
	waits chan struct{}
}

// At waits.
func (w waiter) At(ctx context.Context, i int) (Entry, bool, error) {
	if !w.Ready(i) {
		close(w.waits)
	}
	return w.paged.At(ctx, i)
}

// A listing that breaks off is an error, not an end, and what came before is read. It
// stays so until the reader begins anew.
func TestListingBreaksOff(t *testing.T) {
	for _, have := range []int{0, 5} {
		m, p := mountPaged(t, 10, have)
		p.come(have, &image.Error{Op: "list", Kind: image.Unreachable})
		d := must(os.Open(m.dir))
		defer d.Close()
		for _, n := range []int{have, 0} {
			list, err := d.ReadDir(-1)
			if len(list) != n || !errors.Is(err, errnoOf(&image.Error{Kind: image.Unreachable})) {
				t.Errorf("%d entries and %v, want %d and an error", len(list), err, n)
			}
			m.lists(newPaged(p.all, 10)) // the service is back
		}
		must(d.Seek(0, io.SeekStart))
		list, err := d.ReadDir(-1)
		if err != nil || len(list) != 10 {
			t.Errorf("begun anew: %d entries and %v", len(list), err)
		}
	}
}

// A reader that pauses, goes back, and begins anew misses nothing and sees nothing twice.
func TestSeeksInADirectory(t *testing.T) {
	const many = 3000
	m, _ := mountPaged(t, many, many)
	d := must(os.Open(m.dir))
	defer d.Close()
	var seen []dirent
	read := func(room int) []dirent {
		t.Helper()
		some, err := getdents(d, room)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, some...)
		return some
	}
	for read(glibcRoom); len(seen) < many/3; {
		read(glibcRoom)
	}
	// Back into what was read last, and on with replies that hold fewer entries: attributes
	// come along again, because somebody has asked for one.
	for _, room := range []int{glibcRoom, 1024} {
		last := read(glibcRoom)
		back := last[len(last)/8]
		must(os.Lstat(m.path(seen[10].name)))
		must(os.Lstat(m.path(back.name)))
		must(d.Seek(back.off, io.SeekStart))
		seen = seen[:slices.Index(seen, back)+1]
		read(room)
	}
	for len(read(glibcRoom)) > 0 {
	}
	if len(seen) != many+len(dots) {
		t.Errorf("%d entries, want %d", len(seen), many+len(dots))
	}
	for i, e := range seen[len(dots):] {
		if want := fmt.Sprintf("disk%04d", i); e.name != want {
			t.Fatalf("entry %d is %s", i, e.name)
		}
	}
	must(d.Seek(0, io.SeekStart))
	before := len(seen)
	for len(read(glibcRoom)) > 0 {
	}
	if n := len(seen) - before; n != many+len(dots) {
		t.Errorf("rewound: %d entries", n)
	}
	must(d.Seek(seen[99].off, io.SeekStart)) // a position of the listing before
	if some := read(1024); some[0] != seen[100] {
		t.Errorf("offset %d is at %s", seen[99].off, some[0].name)
	}
	must(d.Seek(1<<40, io.SeekStart))
	if some := read(1024); len(some) != 0 {
		t.Errorf("beyond the end is %s", some[0].name)
	}
}
