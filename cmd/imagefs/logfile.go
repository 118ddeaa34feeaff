package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/localdir"
)

const (
	// maxLog, in bytes, is when the log begins anew and the full one becomes
	// NAME.1: together they hold months of changes and never more than 32 MiB.
	maxLog = 16 << 20
	// maxLogName, in bytes, leaves room for the suffixes within the 255 bytes of
	// a file name.
	maxLogName = 200
)

// logPath is where the daemon of a mountpoint logs: a name that a person finds,
// and a hash because /mnt/a-b and /mnt/a/b are two mountpoints.
func logPath(h config.Host, mountpoint string) string {
	dir := "/var/log/imagefs"
	if h.UID != 0 {
		dir = filepath.Join(h.StateDir(), "log")
	}
	name := strings.ReplaceAll(strings.Trim(mountpoint, "/"), "/", "-")
	if len(name) > maxLogName {
		name = strings.ToValidUTF8(name[len(name)-maxLogName:], "")
	}
	return filepath.Join(dir, name+"-"+strings.TrimSuffix(socketName(mountpoint), ".sock")[:8]+".log")
}

// logFile is a log of bounded size. It is also the process's stderr, so that a
// crash is found there.
type logFile struct {
	path  string
	limit int64
	redo  func(*os.File) error // makes the file the process's stderr; nil leaves that alone

	mu   sync.Mutex // guards the fields below; held across local writes
	file *os.File
	size int64
}

// openLog opens or makes the log of a daemon.
func openLog(path string, limit int64, redo func(*os.File) error) (*logFile, error) {
	l := &logFile{path: path, limit: limit, redo: redo}
	err := localdir.Make(filepath.Dir(path), nil)
	if err == nil {
		err = l.open()
	}
	if err != nil {
		return nil, fail(localCode(err), "%w: the log cannot be written: mend the directory, or mount with --foreground", err)
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && l.redo != nil {
		err = l.redo(f)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends one record, and begins a new file when the old one is full. A log
// that cannot be turned goes on in the old file: a line is worth more than its
// bound.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		old := l.file
		if err := os.Rename(l.path, l.path+".1"); err == nil && l.open() == nil {
			_ = old.Close() // every record was written already
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// Close closes the log.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// becomeStderr makes f the process's stderr.
func becomeStderr(f *os.File) error {
	if err := unix.Dup3(int(f.Fd()), 2, 0); err != nil {
		return fmt.Errorf("stderr: %w", err)
	}
	return nil
}

// localCode is the exit code of an error of a local directory.
func localCode(err error) exitCode {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return exitLocalFull
	}
	return exitLocalDir
}

// localFailure is the error of a local directory, and what to do about it: a refusal says
// how it is mended, the system does not.
func localFailure(err error, instead string) error {
	mend := ": make it usable, or "
	if r := (*localdir.Refusal)(nil); errors.As(err, &r) {
		mend = "; or "
	}
	return fail(localCode(err), "%w%s%s", err, mend, instead)
}
