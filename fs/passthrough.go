package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// stackDepth is how many filesystems may lie on each other where the kernel reads
// local copies, ours included: the copies must lie on one that lies on none. With 2
// the copies could lie on an overlayfs, but no overlayfs could lie on us.
const stackDepth = 1

// passthrough lets the kernel read local copies without asking us. Where it may
// not, files are opened as if there were no copies.
//
// It registers them itself. go-fuse would count handles by inode, but takes one
// from its count for each handle that is closed, passed through or not, and only
// after our Release: an open in between would have its registration pulled away.
// And it gives up for good, silently, at the first refusal, whatever the reason.
type passthrough struct {
	copies Copies // nil: none
	log    *slog.Logger
	kernel registrar

	mu      sync.Mutex // guards the fields below
	off     string     // why nothing is passed through; "" while it is
	handles int        // open ones that are passed through
	// answers holds what the answer to an OPEN under way is to carry besides what
	// go-fuse lets a node say: the registration, by the request, whose identity is its
	// cancel channel.
	answers map[<-chan struct{}]int32
}

// registrar is the part of a fuse.Server that registers local copies.
type registrar interface {
	RegisterBackingFd(m *fuse.BackingMap) (id int32, errno syscall.Errno)
	UnregisterBackingFd(id int32) syscall.Errno
}

// backing is a local copy that the kernel reads for a node's open handles.
type backing struct {
	id      int32  // what the kernel calls it
	image   string // id of the image
	file    os.FileInfo
	handles int // guarded by the node's mu
	release func()
}

func newPassthrough(copies Copies, log *slog.Logger) *passthrough {
	p := &passthrough{copies: copies, log: log, answers: make(map[<-chan struct{}]int32)}
	if copies == nil {
		p.off = "there is no cache on disk"
	}
	return p
}

// probe asks the kernel, which has just been mounted, whether it would pass files
// of the copies' directory through.
func (p *passthrough) probe(kernel *fuse.Server) {
	p.kernel = kernel
	if p.copies == nil {
		return
	}
	if kernel.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0 {
		p.turnOff("the kernel does not have it (Linux 6.9 and later do)")
		return
	}
	fd, err := unix.Open(p.copies.Directory(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return // a filesystem that has no such files: the copies will tell
	}
	defer unix.Close(fd) //nolint:errcheck // a file without name and bytes
	id, err := p.register(fd)
	switch {
	case err == nil:
		p.unregister(id)
	case errors.Is(err, syscall.ELOOP):
		p.turnOff(fmt.Sprintf("%s lies on a filesystem over another, such as overlayfs", p.copies.Directory()))
	}
}

func (p *passthrough) register(fd int) (id int32, err error) {
	id, errno := p.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno == 0 {
		return id, nil
	}
	if why := never(errno); why != "" {
		p.turnOff(why)
	}
	return 0, errno
}

// never returns why the kernel, which refused a copy with errno, will refuse every
// other: the daemon may not ask (EPERM; EACCES from a security module), or the
// kernel, the copies' filesystem (ENOTTY, EOPNOTSUPP) or this form of the question
// (EINVAL) is not made for it. It returns "" where the kernel may take another copy,
// or the same one later: it is short of something (ENOMEM, ENOSPC), or the fault is
// that of the one file (ELOOP, EISDIR).
func never(errno syscall.Errno) string {
	switch errno {
	case syscall.EPERM:
		return "the daemon lacks CAP_SYS_ADMIN"
	case syscall.EACCES, syscall.ENOTTY, syscall.EOPNOTSUPP, syscall.EINVAL:
		return "the kernel refused: " + errno.Error()
	}
	return ""
}

func (p *passthrough) unregister(id int32) {
	p.kernel.UnregisterBackingFd(id) //nolint:errcheck // fails when the mount is gone, and the registration with it
}

// turnOff is for good.
func (p *passthrough) turnOff(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = why
}

// isOff returns why nothing is passed through, "" while it is.
func (p *passthrough) isOff() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

// back registers the copy of an image, if there is one. Who has no use for it any
// more calls end.
func (p *passthrough) back(img image.Image) *backing {
	if img.ID == "" || p.isOff() != "" {
		return nil
	}
	f, release := p.copies.Copy(img)
	if f == nil {
		return nil
	}
	file, err := f.Stat()
	var id int32
	if err == nil {
		id, err = p.registerFile(f)
	}
	if err != nil {
		p.log.Debug("the kernel does not take a copy", "image", img.ID, "error", err)
		release()
		return nil
	}
	return &backing{id: id, image: img.ID, file: file, release: release}
}

// stands reports whether the copy that the kernel reads is still the one that is handed
// out of the image: it has not been removed since, nor found to be damaged.
func (p *passthrough) stands(b *backing, img image.Image) bool {
	f, release := p.copies.Copy(img)
	if f == nil {
		return false
	}
	defer release()
	file, err := f.Stat()
	return err == nil && os.SameFile(file, b.file)
}

func (p *passthrough) registerFile(f *os.File) (id int32, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var refused error
	err = conn.Control(func(fd uintptr) { id, refused = p.register(int(fd)) })
	return id, errors.Join(err, refused)
}

// end gives the copy back. nil is allowed.
func (p *passthrough) end(b *backing) {
	if b != nil {
		p.unregister(b.id)
		b.release()
	}
}

// opened counts a handle, and notes what the answer to the request that opens it is
// to carry.
func (p *passthrough) opened(request <-chan struct{}, id int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[request] = id
	p.handles++
}

func (p *passthrough) closed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handles--
}

func (p *passthrough) take(request <-chan struct{}) int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.answers[request]
	delete(p.answers, request)
	return id
}

// Passthrough is how far the kernel reads local copies by itself.
type Passthrough struct {
	Off     string // why it does not; "" where it does
	Handles int    // open files that it reads so
}

// Passthrough tells how far the kernel reads local copies by itself.
func (s *Server) Passthrough() Passthrough {
	p := s.fs.passthrough
	p.mu.Lock()
	defer p.mu.Unlock()
	return Passthrough{Off: p.off, Handles: p.handles}
}

// bridge is go-fuse's filesystem with the registrations of passthrough, and with what
// a handle is not told of a write.
type bridge struct {
	fuse.RawFileSystem
	fs *FS
}

// Init comes before any other request.
func (b bridge) Init(kernel *fuse.Server) {
	b.RawFileSystem.Init(kernel)
	b.fs.passthrough.probe(kernel)
	b.fs.writesPast = seesPast(kernel)
}

// pageCache stands for the thread that makes a write which the kernel sends from its
// page cache: of a mapping, through any handle that is open for writing. (It names none
// itself, as of a caller in another pid namespace.)
const pageCache = ^uint32(0)

// Writev marks such a write. Every write comes here first.
func (b bridge) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (written uint32, code fuse.Status) {
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		in.Pid = pageCache
	}
	return b.RawFileSystem.Writev(cancel, in, data)
}

// Open adds what a node cannot say.
func (b bridge) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	status := b.RawFileSystem.Open(cancel, in, out)
	if out.OpenFlags&fuse.FOPEN_PASSTHROUGH != 0 {
		out.BackingID = b.fs.passthrough.take(cancel)
	}
	return status
}
