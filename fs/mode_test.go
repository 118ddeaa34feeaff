package fs

import (
	"os"
	"testing"
)

// A file that is opened for writing only is written past the page cache. A reader
// who fills a page just before the write is done has the new bytes after it.
func TestReadDuringWrite(t *testing.T) {
	h := newHouse()
	g := newGate("write", "disk")
	h.hook = g.hold
	h.add("disk", "what was there..")
	m := mountHouse(t, h)

	w := must(os.OpenFile(m.path("disk"), os.O_WRONLY, 0))
	wrote := soon(func() error { _, err := w.WriteAt([]byte("NEW!"), 0); return err })
	g.wait(t)
	r := must(os.Open(m.path("disk")))
	b := make([]byte, 16)
	if _, err := r.ReadAt(b, 0); err != nil || string(b) != "what was there.." {
		t.Fatalf("before the write is done: %q, %v", b, err)
	}
	close(g.open)
	if err := result(t, wrote); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(b, 0); err != nil || string(b) != "NEW! was there.." {
		t.Errorf("after the write: %q, %v", b, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	m.settled()
	m.want("disk", "NEW! was there..")
}
