package fs

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// handle is one open file of the root directory.
type handle struct {
	node    *node
	write   bool          // opened for writing
	draft   *draft        // what it writes; nil when opened for reading
	opener  uint32        // process that opened it for writing; 0 when it cannot be known
	passed  bool          // the kernel reads it from a local copy
	past    bool          // it writes past the kernel's page cache
	changes handleChanges // what it has changed of the draft

	mu     sync.Mutex   // guards the fields below
	reader Reader       // of the image behind the node, opened at the first read
	of     image.Packed // what reader reads
	closed bool
}

var (
	_ gofs.FileReader    = (*handle)(nil)
	_ gofs.FileWriter    = (*handle)(nil)
	_ gofs.FileFlusher   = (*handle)(nil)
	_ gofs.FileFsyncer   = (*handle)(nil)
	_ gofs.FileReleaser  = (*handle)(nil)
	_ gofs.FileAllocater = (*handle)(nil)
	_ gofs.FileLseeker   = (*handle)(nil)
)

// Read reads what is behind the node now: the draft while somebody writes, else
// the image.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	c := h.node.fs.begin(ctx)
	defer c.end()
	b, err := h.read(c, dest, off)
	if err != nil {
		return nil, h.node.failOpen("read", err, "image", h.node.id(), "offset", off)
	}
	r := reply{b}
	if r.Size() == 0 { // behind the end: go-fuse would not call Done
		r.Done()
		return fuse.ReadResultData(nil), 0
	}
	return r, 0
}

// read returns the bytes at off, as many as p would take or as there are.
func (h *handle) read(ctx context.Context, p []byte, off int64) (Bytes, error) {
	for {
		img, d, _ := h.node.look()
		b, err := h.readNow(ctx, img, d, p, off)
		switch {
		case err == nil || errors.Is(err, io.EOF):
			return b, nil
		case !h.node.replaced(img, d):
			return nil, err
		} // the draft or the image ended under the read: what it became has the answer
	}
}

func (h *handle) readNow(ctx context.Context, img image.Packed, d *draft, p []byte, off int64) (Bytes, error) {
	if d != nil {
		n, err := d.bytes.ReadAt(ctx, p, off)
		return copied(p[:n]), err
	}
	if img.IsZero() {
		return nil, &image.Error{Op: "read", Kind: image.Stale, Detail: "its draft was not committed"}
	}
	r, err := h.readerOf(img)
	if err != nil {
		return nil, err
	}
	b, err := r.View(ctx, p, off)
	if image.Is(err, image.NotFound) { // others have deleted or replaced it
		h.node.fs.Catalog.Gone(img.ID())
	}
	return b, err
}

// readerOf returns the handle's reader of the image behind the node, a new one
// when a commit has given the node another image.
func (h *handle) readerOf(img image.Packed) (Reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, &image.Error{Op: "read", Image: img.ID(), Kind: image.Stale, Detail: "the file is closed"}
	}
	if h.reader != nil && sameImage(h.of, img) {
		return h.reader, nil
	}
	old := h.reader
	h.reader, h.of = h.node.fs.Engine.Open(img.Unpack()), img
	if old != nil { // reads under way on the old image begin again on the new one
		if err := old.Close(); err != nil {
			h.node.fs.log.Warn("closing a reader failed", "image", img.ID(), "error", err)
		}
	}
	return h.reader, nil
}

// Write writes into the draft.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if !h.write {
		return 0, syscall.EBADF
	}
	c := h.node.fs.begin(ctx)
	defer c.end()
	by := &h.changes
	if c.tid == pageCache {
		by = nil
	}
	n, err := h.draft.write(c, by, data, off)
	if h.past && n > 0 {
		h.node.wrote(off, int64(n))
	}
	if err != nil && n == 0 {
		return 0, h.node.failOpen("write", err, "draft", h.draft.bytes.Path())
	}
	return uint32(n), 0
}

// Allocate reserves or frees space in the draft.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if !h.write {
		return syscall.EBADF
	}
	c := h.node.fs.begin(ctx)
	defer c.end()
	return h.node.failOpen("fallocate", h.draft.allocate(c, &h.changes, mode, int64(off), int64(size)))
}

// Values of whence for lseek(2), from linux/fs.h; the kernel answers the others.
const (
	seekData = 3
	seekHole = 4
)

// Lseek finds data and holes. The service tells of no holes, so an image is data
// up to its end.
func (h *handle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	for {
		img, d, _ := h.node.look()
		at, ok, err := seek(img, d, int64(off), whence)
		switch {
		case err != nil && h.node.replaced(img, d): // as in readAt
		case err != nil:
			return 0, h.node.failOpen("lseek", err, "image", h.node.id())
		case !ok:
			return 0, syscall.ENXIO
		default:
			return uint64(at), 0
		}
	}
}

// seek is lseek(2) for data or a hole; false when there is no such offset.
func seek(img image.Packed, d *draft, off int64, whence uint32) (int64, bool, error) {
	switch {
	case off < 0:
		return 0, false, nil
	case d != nil && whence == seekHole:
		return d.bytes.SeekHole(off)
	case d != nil:
		return d.bytes.SeekData(off)
	case whence == seekHole:
		return img.Size(), off < img.Size(), nil
	}
	return off, off < img.Size(), nil
}

// Flush is a close(2), of this descriptor or of a duplicate. It commits when bytes
// were written through the handle since the last commit and the process that opened
// the file closes it. A process that a signal is ending does not choose to close: its draft is
// kept, not published.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	if !h.write {
		return 0
	}
	c, cctx := h.node.fs.change(ctx)
	defer c.end()
	if killed, sure := killedBySignal(c.tid); killed {
		h.draft.writerKilled(&h.changes, sure)
		return 0
	}
	closer := processGroup(c.tid)
	if closer != h.opener {
		return 0 // left to a later flush or to release
	}
	err := h.flush(cctx, closer != 0, hasEnded(c.tid))
	return h.node.failOpen("close", err, "draft", h.draft.bytes.Path())
}

// flush is a close by the process that opened the handle. One that has ended without it
// hears neither a signal nor an errno: it is held for a while, as others wait for its end,
// and then its commit goes on without it.
func (h *handle) flush(ctx context.Context, visible, ended bool) error {
	f := h.node.fs
	h.draft.mu.Lock()
	h.changes.unheard = ended
	h.draft.mu.Unlock()
	if !ended || f.opts.AtExit == 0 {
		return h.draft.flush(ctx, &h.changes, visible)
	}
	work := f.life
	if caller, ok := image.CallerOf(ctx); ok {
		work = image.WithCaller(work, caller)
	}
	done := make(chan error, 1)
	f.settling.Go(func() { done <- h.draft.flush(work, &h.changes, visible) })
	late := time.NewTimer(f.opts.AtExit)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		f.log.Info("a program has ended without closing its file, and is not held any longer: the upload goes on", "draft", h.draft.bytes.Path())
		return nil
	}
}

// Fsync puts the draft and its journal, with what was set on the file, on the local
// disk, and sends attributes that wait.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	f := h.node.fs
	c, cctx := f.change(ctx)
	defer c.end()
	if h.write {
		err := h.draft.bytes.Sync(cctx)
		if err == nil {
			err = h.draft.noteSet(cctx)
		}
		if err != nil {
			return h.node.failOpen("fsync", err, "draft", h.draft.bytes.Path())
		}
	}
	img, _ := h.node.now()
	return h.node.failOpen("fsync", f.unsent.flush(cctx, img.ID))
}

// Release is the end of the open file. Its errors go nowhere, so whatever remains
// to be done is logged by the draft.
func (h *handle) Release(context.Context) syscall.Errno {
	h.release()
	return 0
}

func (h *handle) release() {
	h.node.fs.countHandle(-1)
	h.mu.Lock()
	r := h.reader
	h.reader, h.closed = nil, true
	h.mu.Unlock()
	if r != nil {
		if err := r.Close(); err != nil {
			h.node.fs.log.Warn("closing a reader failed", "image", h.of.ID(), "error", err)
		}
	}
	if h.past {
		h.node.leavePast()
	}
	if h.passed {
		h.node.passedBy()
	} else {
		h.node.leave()
	}
	if h.write {
		h.draft.leave()
	}
}
