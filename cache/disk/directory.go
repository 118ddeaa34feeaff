package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// ErrInUse says that another process has the directory. It is wrapped by an *image.Error
// whose text names the process.
var ErrInUse = errors.New("the cache is in use by another mount")

// Modes of the directory and of every file in it: images are nobody else's
// business.
const (
	dirMode  = localdir.Mode
	fileMode = 0o600
)

// lockName is the file that carries the flock and the number of the process that
// has it. It stays: removing it would let two processes lock two files.
const lockName = "lock"

// openDir makes the directory if need be, makes it private and locks it, for a Store of
// OpenIdle or another one.
func openDir(dir string, idle bool) (*os.Root, *os.File, error) {
	if !filepath.IsAbs(dir) {
		return nil, nil, refused(dir, "it must be an absolute path")
	}
	var r *localdir.Refusal
	switch err := localdir.Make(dir, nil); {
	case errors.As(err, &r):
		return nil, nil, refused(dir, r.Error())
	case err != nil:
		return nil, nil, unusable(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, unusable(dir, err)
	}
	lock, err := lockDir(root, dir, idle)
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return root, lock, nil
}

func lockDir(root *os.Root, dir string, idle bool) (*os.File, error) {
	info, err := root.Stat(".")
	if err != nil {
		return nil, unusable(dir, err)
	}
	if info.Mode().Perm() != dirMode {
		if err := root.Chmod(".", dirMode); err != nil {
			return nil, unusable(dir, err)
		}
	}
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, unusable(dir, err)
	}
	made := idle && markIdle(root)
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		err := inUse(dir, f)
		if (made || !idle) && root.Remove(idleName) == nil && !made {
			err.Err = fmt.Errorf("%w, and was %w", ErrInUse, ErrAsked)
		}
		return nil, errors.Join(err, f.Close())
	}
	if err == nil {
		if !idle {
			_ = root.Remove(idleName) // at worst it is waited for this one in vain
		}
		err = writePID(f)
	}
	if err != nil {
		return nil, errors.Join(unusable(dir, err), f.Close())
	}
	return f, nil
}

// writePID is for whoever finds the directory locked. A full disk is no reason not
// to start: what is cached can be read.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil && !isFull(err) {
		return err
	}
	return nil
}

// errForeign says that a directory is not one that a Store has made.
var errForeign = errors.New("it is not a cache of imagefs")

// recognise returns nil where a Store has had the directory: it is private, and its lock
// holds the number of a process, or nothing where the disk was full.
func recognise(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	lock, err := os.Lstat(filepath.Join(dir, lockName))
	switch {
	case err != nil:
		return err
	case !info.IsDir() || info.Mode().Perm() != dirMode || !lock.Mode().IsRegular() || lock.Size() > pidDigits:
		return errForeign
	}
	text, err := os.ReadFile(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil && len(text) > 0 {
		return errForeign
	}
	return nil
}

// pidDigits is more than any process number has.
const pidDigits = 20

func inUse(dir string, lock *os.File) *image.Error {
	e := &image.Error{Op: "open disk cache " + dir, Kind: image.Busy, Err: ErrInUse}
	text, err := io.ReadAll(io.LimitReader(lock, pidDigits))
	if pid, convErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && convErr == nil {
		e.Detail = fmt.Sprintf("process %d has it", pid)
	}
	return e
}

func refused(dir, why string) error {
	return &image.Error{Op: "open disk cache " + dir, Kind: image.Misconfigured, Detail: why}
}

// unusable is a failure of the system: only a full disk keeps its own kind.
func unusable(dir string, err error) error {
	kind := image.Misconfigured
	if isFull(err) {
		kind = image.LocalFull
	}
	return &image.Error{Op: "open disk cache " + dir, Kind: kind, Err: err}
}

// remove removes a file; one that is not there is no error.
func (s *Store) remove(name string) error {
	if err := s.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
