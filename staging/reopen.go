package staging

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/imagefs/imagefs/image"
)

// ReopenSpec is what a kept draft needs beside its journal.
type ReopenSpec struct {
	// Base reads BaseImage, the image that the journal names as Record.Base; nil
	// where that is gone. Then what was not written over reads as kind Stale, and the
	// rest can still be had.
	Base      Base
	BaseImage image.Image
}

const (
	// lockTries and lockPause bound the wait for somebody who only looks at a draft,
	// which takes microseconds: a tenth of a second in all.
	lockTries = 10
	lockPause = 10 * time.Millisecond
)

// Reopen takes a kept draft and returns it open, as its journal and its data file
// have it: it can be read, written, committed and ended like any other, and its
// Record says whether bytes may be missing (Uncertain). Nothing is changed on disk
// before the first change. A draft that somebody holds is kind Busy, one that is
// not there NotFound, a damaged one Corrupt; a Base that is not the image that was
// edited is Stale. Each of them stays as it is. The draft owns o.Base from here on,
// also when Reopen fails.
func (s *Store) Reopen(id string, o ReopenSpec) (*Draft, error) {
	d, err := s.reopen(id, o)
	if err == nil {
		return d, nil
	}
	if o.Base != nil {
		err = errors.Join(err, o.Base.Close())
	}
	return nil, err
}

func (s *Store) reopen(id string, o ReopenSpec) (_ *Draft, err error) {
	refuse := func(k image.Kind, why string, cause error) error {
		return &image.Error{Op: "reopen draft", Image: id, Kind: k, Detail: why, Err: cause}
	}
	f, err := s.take(id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeRead(s.log, f)
		}
	}()
	j, err := s.readJournal(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(image.Corrupt, "its journal is missing", nil)
	case err != nil:
		return nil, refuse(image.Corrupt, "", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, refuse(image.Corrupt, "its data file cannot be used", err)
	}
	switch {
	case j.Base == "" && o.Base != nil, o.Base != nil && o.BaseImage.ID != j.Base:
		return nil, refuse(image.Rejected, "it does not lie over image "+o.BaseImage.ID, nil)
	case o.Base != nil && (j.BaseVersion != "" && versionOf(o.BaseImage) != j.BaseVersion || o.BaseImage.Size < j.limit):
		return nil, refuse(image.Stale, "the image "+j.Base+" under it has other bytes than when it was edited", nil)
	}
	j.Uncertain = j.uncertain(s.boot, info.Size())
	j.Size = info.Size()
	return reopened(s, f, j, o, info.ModTime()), nil
}

// take opens a draft's data file and takes its lock, waiting only for those who
// look.
func (s *Store) take(id string) (*os.File, error) {
	refuse := func(k image.Kind, why string, cause error) error {
		return &image.Error{Op: "take draft", Image: id, Kind: k, Detail: why, Err: cause}
	}
	f, err := s.disk.open(id + dataSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := s.readJournal(id); errors.Is(err, fs.ErrNotExist) {
			return nil, refuse(image.NotFound, "there is no such draft in "+s.path, nil)
		}
		return nil, refuse(image.Corrupt, "its data file is missing", nil)
	case kindOf(err) == image.NoDescriptors:
		return nil, refuse(image.NoDescriptors, "", err)
	case err != nil:
		return nil, refuse(image.Corrupt, "its data file cannot be opened", err)
	}
	if err := s.claim(f, "take draft", id); err != nil {
		return nil, err
	}
	return f, nil
}

// claim takes the lock of an open file, waiting only for those who look. On an error
// the file is closed.
func (s *Store) claim(f *os.File, op, id string) error {
	refuse := func(k image.Kind, why string, cause error) error {
		closeRead(s.log, f)
		return &image.Error{Op: op, Image: id, Kind: k, Detail: why, Err: cause}
	}
	for try := 1; ; try++ {
		held, err := lock(f, syscall.LOCK_EX)
		switch {
		case err != nil:
			return refuse(kindOf(err), "", err)
		case held && !linked(f):
			return refuse(image.NotFound, "it has just been removed", nil)
		case held:
			return nil
		case try == lockTries:
			return refuse(image.Busy, "a mount or another command has it", nil)
		}
		time.Sleep(lockPause)
	}
}

func reopened(s *Store, f *os.File, j journal, o ReopenSpec, changed time.Time) *Draft {
	base := o.Base
	if base == nil && j.Base != "" {
		base, o.BaseImage = missingBase{j.Base}, image.Image{ID: j.Base}
	}
	d := newDraft(s, f, j, Spec{Base: base, BaseImage: o.BaseImage})
	d.mod = changed.UTC()
	d.unlinked = j.Unlinked
	d.written = j.Size > 0
	d.cutLocked(j.Size) // truncated after the journal was written; nobody else has d
	untouched := d.layered && j.ext.count() == 0 && j.limit == j.Size && j.Size == o.BaseImage.Size
	d.dirty = j.State != StateCommitted && (j.Owed() || d.layered && !untouched || !d.layered && (d.written || j.Replaces != ""))
	if !j.Synced && !j.Closed {
		d.touches = 1 // of the earlier process: not known to be on the disk
	}
	return d
}

// missingBase is an image that is gone.
type missingBase struct{ id string }

func (b missingBase) ReadAt(context.Context, []byte, int64) (int, error) {
	return 0, &image.Error{Op: "read base", Image: b.id, Kind: image.Stale, Detail: "the image that was edited is gone"}
}

func (missingBase) Close() error { return nil }

// uncertain reports whether bytes may be missing that were written after the last
// fsync. A commit lets nobody write, so that while one ran only the machine's end
// can have cost bytes; a draft being written over a base also loses with its process
// what its journal did not know yet. size is the data file's: where nothing was written
// after the journal, another than its own tells that the file was damaged.
func (j *journal) uncertain(boot string, size int64) bool {
	sameBoot := j.Boot != "" && j.Boot == boot
	switch {
	case j.Uncertain:
		return true
	case j.Closed:
		return j.Size != size
	case j.State == StateOpen:
		return j.Base != "" || !sameBoot
	default:
		return !sameBoot && !j.Synced || j.Size != size
	}
}
