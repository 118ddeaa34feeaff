package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// bareDirectoryCommand makes this program a filesystem: `bench bare-directory COUNT
// MOUNTPOINT`.
const bareDirectoryCommand = "bare-directory"

// bareValidity is how long the kernel may keep an entry and its attributes, as in
// imagefs.
const bareValidity = time.Second

// bareRoot is a directory of many files, all in memory: as little as a FUSE filesystem
// in Go can do for it.
type bareRoot struct {
	fs.Inode
	entries []fuse.DirEntry
	byName  map[string]uint64 // inode numbers
}

var (
	_ fs.NodeLookuper  = (*bareRoot)(nil)
	_ fs.NodeReaddirer = (*bareRoot)(nil)
)

// Readdir lists the names.
func (r *bareRoot) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	return fs.NewListDirStream(r.entries), 0
}

// Lookup makes the node of a name.
func (r *bareRoot) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	ino, ok := r.byName[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	file := &bareFile{size: ino << 20}
	file.fill(&out.Attr)
	return r.NewInode(ctx, file, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino}), 0
}

// bareFile has attributes only.
type bareFile struct {
	fs.Inode
	size uint64
}

var (
	_ fs.NodeGetattrer  = (*bareFile)(nil)
	_ fs.NodeGetxattrer = (*bareFile)(nil)
)

// Getattr says what Lookup said.
func (f *bareFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.fill(&out.Attr)
	return 0
}

// Getxattr says that there are none, so that ls asks once and not for each file.
func (f *bareFile) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.EOPNOTSUPP
}

func (f *bareFile) fill(out *fuse.Attr) {
	out.Mode, out.Size, out.Nlink = 0o644, f.size, 1
	out.Mtime, out.Ctime = 1_700_000_000, 1_700_000_000
}

// serveBareDirectory shows the directory until a signal.
func serveBareDirectory(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: COUNT and MOUNTPOINT are missing", bareDirectoryCommand)
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", bareDirectoryCommand, err)
	}
	root := &bareRoot{byName: make(map[string]uint64, count)}
	for i := range count {
		e := fuse.DirEntry{Name: fmt.Sprintf("debian-12-server-amd64-%06d", i), Mode: syscall.S_IFREG, Ino: uint64(i) + 2}
		root.entries, root.byName[e.Name] = append(root.entries, e), e.Ino
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	validity := bareValidity
	server, err := fs.Mount(args[1], root, &fs.Options{
		EntryTimeout: &validity, AttrTimeout: &validity,
		MountOptions: fuse.MountOptions{
			FsName: bareDirectoryCommand, Name: bareDirectoryCommand, MaxWrite: bareWrite, Options: []string{"default_permissions"},
			ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO, // as imagefs: ls -U is four times faster with it
		},
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	if err := server.Unmount(); err != nil {
		return err
	}
	server.Wait()
	return nil
}

// bareLists is ls of such a directory, after one ls -U.
func (l *lab) bareLists(count int, name, flags string) contender {
	return contender{name: name, how: "a directory of as many files of a program with go-fuse; `ls -U`, and then the `ls " + flags + "` that is measured",
		measure: func(ctx context.Context) (values, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			m, err := l.mountProgram(ctx, self, bareDirectoryCommand, strconv.Itoa(count), "MOUNTPOINT")
			return with(m, err, func(m *mount) (values, error) { return l.lsTwice(ctx, m, count, flags) })
		}}
}
