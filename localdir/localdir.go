package localdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Mode is that of every directory that Make makes.
const Mode = 0o700

// othersMayWrite are the bits that let the group or everybody write.
const othersMayWrite = 0o022

// Refusal says why a directory is not used, and what to do about it.
type Refusal struct{ Dir, Why string }

// Error names the directory and the reason.
func (r *Refusal) Error() string { return r.Dir + " " + r.Why }

// Make makes an absolute path a directory of this user alone, with what is missing above
// it, or checks the one that is there. made, nil for nothing, is called for each existing
// directory in which one was made. Errors are a *Refusal, or of the system.
func Make(dir string, made func(parent string) error) error {
	err := Check(dir, os.Geteuid())
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var parents []string // of what is missing
	for missing := dir; ; {
		if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = filepath.Dir(missing)
		parents = append(parents, missing)
	}
	if err := os.MkdirAll(dir, Mode); err != nil {
		return err
	}
	for _, parent := range parents {
		if made == nil {
			break
		}
		if err := made(parent); err != nil {
			return err
		}
	}
	return Check(dir, os.Geteuid())
}

// Resolve returns the directory that an absolute path leads to, where it ends with a
// symbolic link that only root and the user could change; else the path. Make and Check
// take it then.
func Resolve(dir string) (string, error) {
	if err := checkWay(filepath.Clean(dir), os.Geteuid()); err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	return resolved, err
}

// Check refuses a directory that is not the user's alone. One that is missing is
// fs.ErrNotExist, if it could be made safely.
func Check(dir string, uid int) error {
	dir = filepath.Clean(dir)
	if err := checkWay(filepath.Dir(dir), uid); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &Refusal{dir, "is a symbolic link: name the directory that it points to"}
	case !info.IsDir():
		return &Refusal{dir, "is not a directory: move it away"}
	case owner(info) != uid:
		return &Refusal{dir, fmt.Sprintf("does not belong to uid %d: chown it if it is to be theirs", uid)}
	case info.Mode().Perm()&othersMayWrite != 0:
		return &Refusal{dir, fmt.Sprintf("can be written to by others (mode %04o): chmod 0700 it if it is yours alone", info.Mode().Perm())}
	}
	return nil
}
