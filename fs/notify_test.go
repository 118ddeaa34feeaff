package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// The kernel is not told of a node that it has never looked up.
func TestContentOfAnUnknownNode(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123")
	m := mountHouse(t, h)
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	m.server.fs.notifier.content(n)
	n.attributesChanged()
	m.want("disk", "0123")
	m.server.fs.notifier.content(n)
	n.attributesChanged()
	m.want("disk", "0123")
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
