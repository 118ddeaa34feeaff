package staging

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// disk is what a store does to its directory, one method per step that a crash
// can fall between. Names are plain file names.
type disk interface {
	// create makes a new empty data file and opens it for reading and writing.
	create(name string) (*os.File, error)
	// open opens an existing data file for reading and writing.
	open(name string) (*os.File, error)
	// write makes or replaces a file and fsyncs it.
	write(name string, data []byte) error
	// patch writes over a part of an existing file and fsyncs it.
	patch(name string, data []byte, off int64) error
	// read returns a file's contents; more than limit bytes are an error.
	read(name string, limit int64) ([]byte, error)
	rename(from, to string) error
	// remove removes a file; one that is not there is no error.
	remove(name string) error
	// sync fsyncs the directory.
	sync() error
	list() ([]string, error)
	close() error
}

// rootDisk is a real directory. All names are resolved beneath its descriptor,
// so that a symlink planted in it leads nowhere else.
type rootDisk struct{ root *os.Root }

// fileMode of everything in staging: drafts are private to the daemon's user.
const fileMode = 0o600

func (d rootDisk) create(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
}

func (d rootDisk) open(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func (d rootDisk) write(name string, data []byte) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d rootDisk) patch(name string, data []byte, off int64) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, off)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

var errTooLong = errors.New("longer than a journal can be")

func (d rootDisk) read(name string, limit int64) ([]byte, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	err = errors.Join(err, f.Close())
	if err == nil && int64(len(data)) > limit {
		err = errTooLong
	}
	return data, err
}

func (d rootDisk) rename(from, to string) error { return d.root.Rename(from, to) }

func (d rootDisk) remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d rootDisk) sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d rootDisk) list() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

func (d rootDisk) close() error { return d.root.Close() }
