package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// bareCommand makes this program a filesystem: `bench bare DIR MOUNTPOINT`.
const bareCommand = "bare"

// bareWrite is the largest request, as imagefs has it (fs/tuning.go), in bytes.
const bareWrite = 512 << 10

// serveBare shows a directory by go-fuse's own loopback node, as little as a FUSE
// filesystem in Go can do, until a signal.
func serveBare(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: DIR and MOUNTPOINT are missing", bareCommand)
	}
	root, err := fs.NewLoopbackRoot(args[0])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server, err := fs.Mount(args[1], root, &fs.Options{MountOptions: fuse.MountOptions{
		MaxWrite: bareWrite, FsName: bareCommand, Name: bareCommand,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH, // else the kernel writes by itself
	}})
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

const bare = "bare go-fuse"

func writeLocal() row {
	return row{
		name: "write-local", title: "Writing until close",
		about: `A new file, opened as cp opens it, is written 1 MiB at a time; what its close costs is not in the figure, the file is removed before. All
files lie on one disk, in the end.`,
		metrics: []metric{speed}, fills: 2,
		targets: []target{
			{text: "0.9 of a bare go-fuse file", of: imagefs, over: []string{bare}, metric: speed, least: 0.9},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			onMount := func(ctx context.Context, m *mount) (values, error) { return l.writing(ctx, m.dir) }
			return []contender{
				l.onImagefs(l.plain, onMount),
				{name: bare, how: "go-fuse's loopback node over a directory, with requests of the same size", measure: func(ctx context.Context) (values, error) {
					under, err := l.temp("under")
					if err != nil {
						return nil, err
					}
					m, err := l.mountProgram(ctx, self, bareCommand, under, "MOUNTPOINT")
					if m != nil {
						m.private = under
					}
					return with(m, err, func(m *mount) (values, error) { return onMount(ctx, m) })
				}},
				{name: "local file", how: "without FUSE", measure: func(ctx context.Context) (v values, err error) {
					dir, err := l.temp("local")
					if err != nil {
						return nil, err
					}
					defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
					return l.writing(ctx, dir)
				}},
			}, nil
		},
	}
}

// writing writes a file of the large image's size into a directory, and removes it.
func (l *lab) writing(ctx context.Context, dir string) (v values, err error) {
	path := filepath.Join(dir, "written.raw")
	chunk := make([]byte, readSize)
	if _, err := io.ReadFull(noise(3, readSize), chunk); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // as cp and dd do
	if err != nil {
		return nil, err
	}
	// Removed while it is open, the file is nothing that imagefs has to upload.
	defer func() { err = errors.Join(err, f.Close()) }()
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	begun := time.Now()
	for off := int64(0); off < l.options.size; off += readSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := f.Write(chunk[:min(readSize, l.options.size-off)]); err != nil {
			return nil, err
		}
	}
	return values{speed.key: mbs(l.options.size, time.Since(begun))}, nil
}
