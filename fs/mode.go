package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// The kernel reads all open files of one inode in the same way: through its page
// cache and us, or passed through to a local copy of the image. Which, is decided
// when a node without open files is opened, and holds until its last handle is
// gone. While one of a kind is open, the kernel fails an open of the other with EIO.
//
// So a node that is passed through is bound to its image. Whoever wants to write
// there gets ESTALE, for which the kernel looks the entry up again, and from then
// on the entry has another node: the files that are open keep the old one and the
// old bytes, as on a local disk when a new file is renamed over theirs.
// So does whoever wants to read when the copy has been removed or found damaged meanwhile:
// the kernel would read him that one, too.
// (FOPEN_DIRECT_IO would let a writer in, but a mapping that it makes would be of the
// local copy, and writable.)

// flags of the answer to an open for reading; closing such a file is nothing that we
// must know of before its release.
const (
	openCached = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
	openPassed = fuse.FOPEN_PASSTHROUGH | fuse.FOPEN_NOFLUSH
)

// errLookAgain makes the kernel look the entry up again.
var errLookAgain = &image.Error{Op: "open", Kind: image.Stale, Detail: "its entry is to be looked up anew"}

// enter counts an open handle that goes through us. Where the node is passed
// through, it gives the entry another node and returns errLookAgain.
func (n *node) enter() error {
	n.mu.Lock()
	passed := n.backing != nil
	if !passed {
		n.open++
	}
	n.mu.Unlock()
	if passed {
		n.fs.part(n)
		n.fs.expect(n)
		return errLookAgain
	}
	n.fs.arrived(n)
	return nil
}

// leave is the end of enter, and of admit. The last handle of an entry that was removed
// takes the draft with it.
func (n *node) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
	if n.open == 0 && n.draft != nil && n.draft.isUnlinked() {
		n.fs.settling.Go(n.draft.settle)
	}
}

// A file that is opened for writing only is written past the kernel's page cache
// (FOPEN_DIRECT_IO), which takes half of the time: no page is allocated and filled
// for bytes that nobody is about to read. Such a handle can be neither read nor mapped,
// so the page cache stays the only way in which this node is read.
//
// Before it asks us to write, the kernel drops the pages of what is written. A read
// that comes meanwhile may fill one with what was there, and nobody would drop that:
// wrote does, and so a file that somebody has open already is written through the page
// cache.

// seesPast reports whether the kernel drops pages before it writes past them: Linux
// 6.6 and later, which brought the flag looked for (commit b5a2a3a0b776).
func seesPast(kernel *fuse.Server) bool {
	return kernel.KernelSettings().Flags64()&fuse.CAP_DIRECT_IO_ALLOW_MMAP != 0
}

// admitWriter returns the flags of the answer to an open for writing, after enter has
// counted the handle.
func (n *node) admitWriter(h *handle, flags uint32) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	others := n.open - 1 - n.past
	if !n.fs.writesPast || flags&syscall.O_ACCMODE != syscall.O_WRONLY || others > 0 {
		return fuse.FOPEN_KEEP_CACHE
	}
	n.past++
	h.past = true
	return fuse.FOPEN_DIRECT_IO
}

// leavePast is the end of admitWriter for a handle that writes past the page cache.
func (n *node) leavePast() {
	n.mu.Lock()
	n.past--
	n.mu.Unlock()
}

// wrote drops the pages of what was written past them, if there may be any. It waits
// for the reads that are filling them, and none of those waits for the writer: it has
// the kernel's lock of the inode, which a read does not take, and none of ours.
func (n *node) wrote(off, size int64) {
	n.mu.Lock()
	read := n.open > n.past
	n.mu.Unlock()
	if read && n.inTree.Load() {
		n.NotifyContent(off, size) //nolint:errcheck // an error: the kernel has forgotten it
	}
}

// part makes the next lookup of the node's entry give it another node. This one
// stays what it is for those who have it open.
func (f *FS) part(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.parted = true
	f.nodes.hide(n)
}

// expect notes that who has come to write is sent on to the node that the entry gets.
func (f *FS) expect(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected[n.key] = time.Now()
}

// arrived is the end of the way that began with expect.
func (f *FS) arrived(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.expected, n.key)
}

// expects reports whether somebody who wants to write is on the way to the node. A
// reader who came first and had it passed through would send that one on again, and
// the kernel looks again only once.
func (f *FS) expects(n *node) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, ok := f.expected[n.key]
	if ok && time.Since(since) > directoryBound { // killed on the way
		delete(f.expected, n.key)
		ok = false
	}
	return ok
}

// admit counts a handle that is opened for reading and returns the flags of the
// answer: passed through where that has begun, or can begin now. Where the copy that is
// read does not stand any more, it gives the entry another node and returns errLookAgain.
func (n *node) admit(c *call, h *handle) (uint32, error) {
	n.mu.Lock()
	img, passed, unused := n.img.Unpack(), n.backing, n.unusedLocked()
	n.mu.Unlock()
	var b *backing
	switch {
	case unused:
		b = n.fs.passthrough.back(img)
		defer func() { n.fs.passthrough.end(b) }()
	case passed != nil && !n.fs.passthrough.stands(passed, img):
		n.fs.part(n)
		return 0, errLookAgain
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if b != nil && n.unusedLocked() && n.img.ID() == b.image { // no other open was faster
		n.backing, b = b, nil
	}
	if n.backing == nil {
		n.open++
		return openCached, nil
	}
	n.backing.handles++
	h.passed = true
	n.fs.passthrough.opened(c.interrupted, n.backing.id)
	return openPassed, nil
}

// unusedLocked reports whether nobody has the node open, or will in a moment.
func (n *node) unusedLocked() bool {
	return n.open == 0 && n.backing == nil && n.draft == nil && !n.fs.expects(n)
}

// passedBy is the end of a handle that was passed through. Mappings may go on: see
// Copies.
func (n *node) passedBy() {
	n.mu.Lock()
	b := n.backing
	b.handles--
	if b.handles > 0 {
		b = nil
	} else {
		n.backing = nil
	}
	n.mu.Unlock()
	n.fs.passthrough.closed()
	n.fs.passthrough.end(b)
}

// leaveCopies gives back the copies that are left when the kernel is gone: after an
// aborted connection it does not say that files were closed.
func (f *FS) leaveCopies() {
	for _, n := range f.allNodes() {
		n.mu.Lock()
		b := n.backing
		n.backing = nil
		n.mu.Unlock()
		f.passthrough.end(b)
	}
}
