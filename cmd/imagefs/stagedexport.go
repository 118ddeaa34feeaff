package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/staging"
)

const stagedExportHelp = `Export writes a draft's bytes to a local file, whole: where an image was being edited,
what was not written over comes from that image, so that its service must answer then.
All of that image is read, and compared with its hash: where that is wrong, also after it
was read anew, no FILE is written. Holes stay holes. The draft stays as it is.

FILE must not exist; --force replaces a regular file, and nothing else. It appears when it
is complete.`

func stagedExportCommand(std streams) *cobra.Command {
	var options optionFlags
	var force bool
	cmd := &cobra.Command{
		Use:     "export [flags] ID FILE",
		Short:   "Write a file that was not uploaded to the local disk",
		Long:    stagedExportHelp,
		Example: "  imagefs staged export 3d70c0ea /tmp/disk.raw",
		Args:    exactly(2, "the ID or the FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return options.run(cmd, func(ctx context.Context, c config.Config) error {
				return exportStaged(ctx, c, args[0], args[1], force, std)
			})
		},
	}
	options.add(cmd, whichDrafts...)
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it is a file")
	return cmd
}

func exportStaged(ctx context.Context, c config.Config, id, path string, force bool, std streams) (err error) {
	picked, _, err := draftsOf(c, []string{id}, nil)
	if err != nil {
		return err
	}
	k := picked[0]
	if err := usable(k); err != nil {
		return err
	}
	if err := mayWrite(path, force); err != nil {
		return err
	}
	services := newStagedRooms(c, std.Err, slog.LevelWarn)
	defer func() { err = errors.Join(err, services.close()) }()
	d, err := services.reopen(ctx, k)
	if err != nil {
		return draftFailure(k, err)
	}
	line := newStatusLine(std.Err)
	err = aside{path: path, force: force, syncDir: syncDir}.write(func(f *os.File) error {
		return d.bytes(ctx, d.Draft, func(from commit.Bytes) error {
			if err := f.Truncate(0); err != nil { // of an earlier try
				return err
			}
			return copySparse(ctx, f, from, func(done int64) {
				line.show(fmt.Sprintf("exporting %s: %s of %s", nameOf(k), humanize.IBytes(uint64(done)), humanize.IBytes(uint64(d.Size()))))
			})
		})
	})
	line.clear()
	uncertain := d.Record().Uncertain
	err = errors.Join(err, d.Close(), d.free())
	switch {
	case ctx.Err() != nil:
		return fail(exitInterruptedBy, "interrupted: %s was not written", path)
	case err != nil:
		return draftFailure(k, err)
	case uncertain:
		_, err = fmt.Fprintf(std.Err, "imagefs: %s may lack bytes: %s\n", path, reasonOf(k))
	}
	return err
}

// exported is a draft that was taken up for all of its bytes.
type exported struct {
	*staging.Draft
	bytes func(ctx context.Context, d *staging.Draft, read func(from commit.Bytes) error) error // as commit.Committer.Export
	free  func() error                                                                          // after the draft has ended
}

// reopen takes up a draft, asking its service only where that has a part of its bytes.
func (s *stagedRooms) reopen(ctx context.Context, k staging.Record) (exported, error) {
	if k.Base != "" {
		r, err := s.of(ctx, k)
		if err != nil {
			return exported{}, err
		}
		d, err := r.reopen(ctx, k)
		return exported{d, r.committer.Export, func() error { return nil }}, err
	}
	store, err := staging.Open(staging.Options{Dir: s.config.StagingDir, Service: k.Service})
	if err != nil {
		return exported{}, stagingFailure(err)
	}
	d, err := store.Reopen(k.Draft, staging.ReopenSpec{})
	if err != nil {
		return exported{}, errors.Join(err, store.Close())
	}
	whole := func(_ context.Context, d *staging.Draft, read func(from commit.Bytes) error) error { return read(d) }
	return exported{d, whole, store.Close}, nil
}

// mayWrite says whether a file may get the name path: by force also a file's, but not that of
// a device, say, which would be gone for all who open it there.
func mayWrite(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil: // none there, or what is wrong shows when it is made
		return nil
	case !force:
		return fileExists(path)
	case !info.Mode().IsRegular():
		return fail(exitFileExists, "%s is no regular file: name another", path)
	}
	return nil
}

func fileExists(path string) error {
	return fail(exitFileExists, "%s exists: name another file, or give --force", path)
}

// aside is a file that gets its name when it is complete and on the disk.
type aside struct {
	path    string
	force   bool                   // over a file of that name
	syncDir func(dir string) error // fsync(2)
}

// write lets fill write its bytes. When it returns nil, the file has its name also after a
// loss of power.
func (a aside) write(fill func(*os.File) error) error {
	dir := filepath.Dir(a.path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(a.path)+".*")
	if err != nil {
		return fail(exitDraft, "%w: name a file in a directory that you may write to", err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = a.name(f.Name())
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := a.syncDir(dir); err != nil {
		return fmt.Errorf("%s is written, but may be lost with the power: %w", a.path, err)
	}
	return nil
}

// name gives the file its name.
func (a aside) name(temporary string) error {
	if a.force {
		return os.Rename(temporary, a.path)
	}
	err := unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, a.path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a filesystem without it
		if err = os.Link(temporary, a.path); err == nil {
			return os.Remove(temporary)
		}
	}
	if errors.Is(err, os.ErrExist) {
		return fileExists(a.path)
	}
	return err
}

// syncDir puts the names in a directory on the disk, where its filesystem can do that.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

const (
	// copyChunk, in bytes, is read at once: spans of a base that pay.
	copyChunk = 1 << 20
	// holeUnit, in bytes, is the least run of zeros that is left out: what filesystems
	// and formats of disks allocate at once.
	holeUnit = 64 << 10
)

// copySparse copies a draft, leaving out its holes and long runs of zeros.
func copySparse(ctx context.Context, to *os.File, from commit.Bytes, progress func(done int64)) error {
	size := from.Size()
	buf, zeros := make([]byte, copyChunk), make([]byte, holeUnit)
	for off := int64(0); off < size; {
		data, ok, err := from.SeekData(off)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		off = data / holeUnit * holeUnit
		n, err := from.ReadAt(ctx, buf[:min(copyChunk, size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		for at := 0; at < n; at += holeUnit {
			part := buf[at:min(at+holeUnit, n)]
			if string(part) == string(zeros[:len(part)]) {
				continue
			}
			if _, err := to.WriteAt(part, off+int64(at)); err != nil {
				return err
			}
		}
		off += int64(n)
		progress(off)
	}
	return to.Truncate(size)
}
