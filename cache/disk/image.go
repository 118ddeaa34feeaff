package disk

import (
	"os"
	"sync/atomic"
)

// Image is a reference to one image's blocks on disk. Its methods may be called by
// several goroutines; all of them do nothing and find nothing after Close, and for
// an image that cannot be cached.
type Image struct {
	of     *contents
	wrong  int64 // contents.wrong as it was made
	closed atomic.Bool
}

// usable reports that the reference stands and the block is one of the image.
func (i *Image) usable(index int64) bool {
	return index >= 0 && index < i.of.blocks && !i.closed.Load() && !i.of.store.closed.Load() && !i.Bad()
}

// Has reports whether a block is on disk. It does no I/O and waits for none.
func (i *Image) Has(index int64) bool { return i.usable(index) && i.of.has(index) }

// Read fills p, which has exactly the length of the block, and reports whether the
// block is on disk and has its checksum. A damaged one is dropped. When it reports
// false the content of p is undefined.
func (i *Image) Read(index int64, p []byte) bool { return i.usable(index) && i.of.read(index, p) }

// Write stores the bytes of a block, unless it is there or there is no room for
// it. p has exactly the length of the block, and is the caller's again when Write
// returns.
func (i *Image) Write(index int64, p []byte) {
	if i.usable(index) {
		i.of.write(index, p, i.wrong)
	}
}

// Drop forgets all blocks of the image, for their bytes are wrong. This reference and
// all others that there are become bad. Files that Pin handed out keep their bytes.
func (i *Image) Drop() {
	if !i.usable(0) {
		return
	}
	i.of.io.Lock()
	defer i.of.io.Unlock()
	i.of.spoil()
}

// Bad reports that bytes of the image which came since the reference was made, or
// before, have turned out to be wrong: together they do not have its hash. It stays so;
// whoever makes another reference tries anew.
func (i *Image) Bad() bool { return i.of.wrong.Load() != i.wrong }

// Pin returns an open read-only file that holds the whole image, if all blocks are
// on disk and their hash was found right. It keeps its bytes until release is
// called, which closes the file; a second call does nothing.
func (i *Image) Pin() (file *os.File, release func(), ok bool) {
	if !i.usable(0) {
		return nil, nil, false
	}
	return i.of.pin()
}

// Close gives the reference back. It may be called more than once; other calls
// should have returned by then.
func (i *Image) Close() {
	if i.closed.Swap(true) {
		return
	}
	c := i.of
	c.store.mu.Lock()
	c.refs--
	last := c.refs == 0
	if last {
		c.warned.Store(false)
	}
	c.store.mu.Unlock()
	if last {
		c.io.Lock()
		c.closeFiles()
		c.io.Unlock()
		c.forget()
	}
}
