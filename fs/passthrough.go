package fs

import (
	"fmt"
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
// And it gives up for good, silently, at the first refusal.
type passthrough struct {
	copies Copies // nil: none
	kernel *fuse.Server

	mu      sync.Mutex // guards the fields below
	off     string     // why nothing is passed through; "" while it is
	handles int        // open ones that are passed through
	// answers holds what the answer to an OPEN under way is to carry besides what
	// go-fuse lets a node say: the registration, by the request, whose identity is its
	// cancel channel.
	answers map[<-chan struct{}]int32
}

// backing is a local copy that the kernel reads for a node's open handles.
type backing struct {
	id      int32  // what the kernel calls it
	image   string // id of the image
	handles int    // guarded by the node's mu
	release func()
}

func newPassthrough(copies Copies) *passthrough {
	p := &passthrough{copies: copies, answers: make(map[<-chan struct{}]int32)}
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
		return // a filesystem that has no such files: the first copy will tell
	}
	defer unix.Close(fd) //nolint:errcheck // a file without name and bytes
	if id, ok := p.register(fd); ok {
		p.unregister(id)
	}
}

func (p *passthrough) register(fd int) (id int32, ok bool) {
	id, errno := p.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	switch errno {
	case 0:
		return id, true
	case syscall.EPERM:
		p.turnOff("the daemon lacks CAP_SYS_ADMIN")
	case syscall.ELOOP:
		p.turnOff(fmt.Sprintf("%s lies on a filesystem over another, such as overlayfs", p.copies.Directory()))
	default:
		p.turnOff("the kernel refused: " + errno.Error())
	}
	return 0, false
}

func (p *passthrough) unregister(id int32) {
	p.kernel.UnregisterBackingFd(id) //nolint:errcheck // fails when the mount is gone, and the registration with it
}

// turnOff is for good: what the kernel refused once it will refuse again.
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
	id, ok := p.registerFile(f)
	if !ok {
		release()
		return nil
	}
	return &backing{id: id, image: img.ID, release: release}
}

func (p *passthrough) registerFile(f *os.File) (id int32, ok bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	if err := conn.Control(func(fd uintptr) { id, ok = p.register(int(fd)) }); err != nil {
		return 0, false
	}
	return id, ok
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

// bridge is go-fuse's filesystem with the registrations of passthrough.
type bridge struct {
	fuse.RawFileSystem
	fs *FS
}

// Init comes before any other request.
func (b bridge) Init(kernel *fuse.Server) {
	b.RawFileSystem.Init(kernel)
	b.fs.passthrough.probe(kernel)
}

// Open adds what a node cannot say.
func (b bridge) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	status := b.RawFileSystem.Open(cancel, in, out)
	if out.OpenFlags&fuse.FOPEN_PASSTHROUGH != 0 {
		out.BackingID = b.fs.passthrough.take(cancel)
	}
	return status
}
