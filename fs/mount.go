package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// typeName is the filesystem's type: fuse.imagefs in /proc/mounts, by which
// updatedb and df leave it out or find it.
const typeName = "imagefs"

// Server is a mount that answers.
type Server struct {
	fs    *FS
	fuse  *fuse.Server
	abort context.CancelCauseFunc
	wait  sync.Once
}

// Mount mounts the rooms at the mountpoint and returns when the mount answers. The
// caller then calls Wait, which ends after an unmount by whomever. ctx bounds only
// the mounting.
func Mount(ctx context.Context, mountpoint string, rooms Rooms, opts Options) (*Server, error) {
	return mountTuned(ctx, mountpoint, rooms, opts, defaultTuning)
}

func mountTuned(ctx context.Context, mountpoint string, rooms Rooms, opts Options, how tuning) (*Server, error) {
	if err := ctx.Err(); err != nil {
		leave(opts.Owed, slog.New(slog.DiscardHandler))
		return nil, fmt.Errorf("mount %s: %w", mountpoint, err)
	}
	life, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	f := newFS(life, rooms, opts, how)
	drafts := make([]*draft, 0, len(opts.Owed))
	for _, o := range opts.Owed {
		drafts = append(drafts, f.resume(o))
	}
	served, err := serve(mountpoint, f)
	if err != nil {
		abort(nil)
		leave(opts.Owed, f.log)
		return nil, fmt.Errorf("mount %s: %w", mountpoint, err)
	}
	begin(drafts, opts.Owed)
	if why := f.passthrough.isOff(); why != "" {
		f.log.Info("files are read through the daemon (no passthrough): " + why)
	} else {
		f.log.Info("files that lie whole in the cache are read directly (passthrough)")
	}
	f.raiseReadAhead(mountpoint)
	go f.notifier.run(f.root.EmbeddedInode())
	return &Server{fs: f, fuse: served, abort: abort}, nil
}

// serve mounts: as root by mount(2), which needs no helper, else or where that is
// not allowed by fusermount3.
func serve(mountpoint string, f *FS) (*fuse.Server, error) {
	if os.Geteuid() == 0 {
		direct := mountOptions(f)
		direct.DirectMountStrict = true
		direct.DirectMountFlags = syscall.MS_NOSUID | syscall.MS_NODEV
		if f.opts.ReadOnly {
			direct.DirectMountFlags |= syscall.MS_RDONLY
		}
		served, err := attach(mountpoint, f, direct)
		if err == nil || fusermountMissing() {
			return served, err
		}
		f.root = &rootNode{fs: f} // the node belongs to the failed try's tree
	}
	helped := mountOptions(f)
	if f.opts.ReadOnly {
		helped.Options = append(helped.Options, "ro")
	}
	return attach(mountpoint, f, helped)
}

// attach is go-fuse's fs.Mount with our bridge in between.
func attach(mountpoint string, f *FS, opts *gofs.Options) (*fuse.Server, error) {
	var answers fuse.RawFileSystem = bridge{RawFileSystem: gofs.NewNodeFS(f.root, opts), fs: f}
	if f.opts.Observe != nil {
		answers = watched{RawFileSystem: answers, observe: f.opts.Observe}
	}
	served, err := fuse.NewServer(answers, mountpoint, &opts.MountOptions)
	if err != nil {
		return nil, err
	}
	go served.Serve()
	if err := served.WaitMount(); err != nil {
		return nil, err // it is not mounted, and Serve ends by itself
	}
	return served, nil
}

func mountOptions(f *FS) *gofs.Options {
	timeout := f.tuning.validity
	unwanted := uint64(0)
	if f.Copies == nil {
		unwanted = fuse.CAP_PASSTHROUGH // it makes us count as a filesystem over another
	}
	return &gofs.Options{
		MountOptions: fuse.MountOptions{
			AllowOther:    f.opts.AllowOther,
			Options:       []string{"default_permissions"},
			FsName:        f.opts.Source,
			Name:          typeName,
			MaxWrite:      f.tuning.request,
			MaxBackground: f.tuning.background,
			// Our replies are bytes in memory: go-fuse would fill a pipe with the
			// reply's head, find that there is no file to splice from, and begin again.
			DisableSplice: true,
			// touch(1) would drop a file's pages under CAP_AUTO_INVAL_DATA; data of
			// an image never changes, and a draft changes through the kernel only.
			ExplicitDataCacheControl: true,
			// O_TRUNC must come with the open, so that a truncation alone makes no
			// close commit; readdirplus is for ls -l, not for find. No mode here has a
			// set-id bit and no file has capabilities(7), so there is nothing that a
			// write must take away: without our word for it the kernel asks for the
			// attribute security.capability before each write(2).
			ExtraCapabilities:    fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_HANDLE_KILLPRIV_V2,
			DisabledCapabilities: unwanted,
			MaxStackDepth:        stackDepth,
		},
		// A name that is not there is not remembered by the kernel: the catalog
		// remembers it, and knows when to forget.
		// Attributes have no default: node.validity says 0 where it must.
		EntryTimeout:    &timeout,
		NullPermissions: true, // a mode of 000 is a mode
	}
}

// fusermountMissing reports whether there is no helper to fall back to.
func fusermountMissing() bool {
	for _, dir := range []string{"/bin", "/usr/bin", "/usr/local/bin"} {
		for _, name := range []string{"fusermount3", "fusermount"} {
			if _, err := os.Stat(dir + "/" + name); err == nil {
				return false
			}
		}
	}
	return true
}

// EntryChanged tells the kernel that others have changed what an entry stands for.
// It never waits.
func (s *Server) EntryChanged(entry string) { s.fs.notifier.entry(entry) }

// BytesChanged tells the kernel to forget what it has read of an image: bytes that
// turned out to be wrong, and which reads fail with from now on. It never waits.
func (s *Server) BytesChanged(id string) {
	k := keyOf(id)
	for _, n := range s.fs.allNodes() {
		if img, _, _ := n.look(); keyOfImage(img) == k {
			s.fs.notifier.content(n)
		}
	}
}

// OpenHandles is the number of files open now.
func (s *Server) OpenHandles() int { return s.fs.OpenHandles() }

// Unmount unmounts. It fails with EBUSY's text while files are open.
func (s *Server) Unmount() error {
	if err := s.fuse.Unmount(); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}

// Abort gives up the commits under way, and all waiting: their drafts stay in
// staging with a journal that says how far they got.
func (s *Server) Abort() { s.abort(image.ErrShutdown) }

// Sync puts what is being written on the local disk, for a daemon that will not wait
// until its files are closed: without, a file that is edited in place would lose what
// was written since its last fsync.
func (s *Server) Sync(ctx context.Context) {
	for _, d := range s.fs.allDrafts() {
		err := d.bytes.Sync(ctx)
		if err != nil && !d.ended() && !image.Is(err, image.Stale) { // Stale: its end, which puts it there too, was faster
			s.fs.log.Error("what was written to an open file may not be on the local disk", "draft", d.bytes.Path(), "error", err)
		}
	}
}

// Wait returns when the filesystem is unmounted, by whomever, every commit has
// ended, and every change of attributes has been sent. Drafts of files that were
// never closed (a connection that was aborted) stay in staging.
func (s *Server) Wait() {
	s.wait.Do(func() {
		s.fuse.Wait()
		close(s.fs.hurry)
		s.fs.settling.Wait()
		s.fs.leaveDrafts()
		s.fs.leaveCopies()
		s.fs.notifier.close()
		s.abort(nil)
	})
}

// leaveDrafts ends the drafts that are left when the kernel is gone: after a lazy
// unmount it may not say that their files were closed. One whose bytes the service
// has goes; the others stay.
func (f *FS) leaveDrafts() {
	for _, d := range f.allDrafts() {
		d.mu.Lock()
		entry, due, owed := d.entry, d.change > d.settled && !d.unlinked && !d.killed, d.accepted > d.settled && d.accepted == d.change && !d.unlinked
		d.mu.Unlock()
		if owed && d.note(context.Background()) != nil {
			owed = false // due, and nobody has promised it
		}
		switch {
		case owed:
			f.log.Warn("its upload has not ended: the next mount goes on with it", "entry", entry, "draft", d.bytes.Path())
		case due:
			f.log.Warn("its file was not closed or its upload has not ended: the draft stays in staging", "entry", entry, "draft", d.bytes.Path())
		default:
			d.finish()
			continue
		}
		var err error
		if due && !owed {
			err = d.journal(d.attributes())
		}
		if err = errors.Join(err, d.bytes.Close()); err != nil {
			f.log.Error("closing a draft failed", "draft", d.bytes.Path(), "error", err)
		}
	}
}
