package imageserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The directories below Options.Dir.
const (
	dirRecords = "records"
	dirData    = "data"
	dirStaged  = "staged"
	dirPartial = "partial"
)

// formatName is the file that says how the others are to be read, by a number.
const (
	formatName    = "format"
	formatVersion = "1"
)

// disk is the directory of a server. It keeps no record of what is there: that
// is the index. Callers name images by ids that are UUIDs (see validID), never
// by text that came from a request unchecked.
type disk struct {
	dir  string
	sync bool
	lock *os.File
	dirs map[string]*os.File // open directories, to sync their entries
	// deleted is the list of buried ids, see graves.
	graves graves
}

func openDisk(dir string, sync bool) (*disk, error) {
	if dir == "" {
		return nil, errors.New("open image directory: no directory given")
	}
	d := &disk{dir: dir, sync: sync, dirs: map[string]*os.File{}}
	says, err := d.checkFormat()
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{dirRecords, dirData, dirStaged, dirPartial} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open image directory: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open image directory: %w", err)
	}
	d.lock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("image directory %s is in use by another server: %w", dir, err), d.close())
	}
	for _, sub := range []string{"", dirRecords, dirData, dirStaged} {
		if d.dirs[sub], err = os.Open(filepath.Join(dir, sub)); err != nil {
			return nil, errors.Join(fmt.Errorf("open image directory: %w", err), d.close())
		}
	}
	if !says {
		// A full disk is no reason not to start: images can be deleted. The next start
		// writes it.
		if err := d.noteFormat(); err != nil && !diskFull(err) {
			return nil, errors.Join(fmt.Errorf("open image directory: %w", err), d.close())
		}
	}
	if err := d.graves.open(filepath.Join(dir, "deleted"), sync); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// checkFormat refuses a directory of another format version before anything in it is
// touched. One that says none is new, or was made before there was more than one.
func (d *disk) checkFormat() (says bool, err error) {
	path := d.path("", formatName)
	text, err := os.ReadFile(path)
	switch version := strings.TrimSpace(string(text)); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("open image directory: %w", err)
	case version == "" || version == formatVersion:
		return version != "", nil
	default:
		return true, fmt.Errorf("image directory %s has format %.20q (%s), this imagefs knows %s: it is left alone", d.dir, version, path, formatVersion)
	}
}

// noteFormat writes what checkFormat reads, whole or not at all.
func (d *disk) noteFormat() error {
	f, err := d.partial()
	if err != nil {
		return err
	}
	if _, err := f.WriteString(formatVersion + "\n"); err != nil {
		d.drop(f)
		return err
	}
	return d.keep(f, "", formatName)
}

// close lets go of the directory. Files of requests under way stay usable.
func (d *disk) close() error {
	err := d.graves.close()
	for _, f := range d.dirs {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, d.lock.Close()) // the last: the lock goes with it
}

func (d *disk) path(sub, id string) string { return filepath.Join(d.dir, sub, id) }

func recordName(id string) string { return id + ".json" }

// save writes a record. It is on disk whole, or the old one still is.
func (d *disk) save(r *record) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write record of %s: %w", r.ID, err)
	}
	f, err := d.partial()
	if err != nil {
		return err
	}
	if _, err := f.Write(text.Bytes()); err != nil {
		d.drop(f)
		return fmt.Errorf("write record of %s: %w", r.ID, err)
	}
	return d.keep(f, dirRecords, recordName(r.ID))
}

// partial makes a file for something half written. It ends with keep or drop.
func (d *disk) partial() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, dirPartial), "")
	if err != nil {
		return nil, fmt.Errorf("write aside: %w", err)
	}
	return f, nil
}

// flush puts the bytes of a partial file on the disk. keep does it too; calling
// it before makes keep quick.
func (d *disk) flush(f *os.File) error {
	if !d.sync {
		return nil
	}
	return f.Sync()
}

// keep gives a partial file its place and closes it, whatever happens.
func (d *disk) keep(f *os.File, sub, name string) error {
	if err := d.flush(f); err != nil {
		d.drop(f)
		return fmt.Errorf("sync %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), d.path(sub, name)); err != nil {
		d.drop(f)
		return fmt.Errorf("put %s in place: %w", name, err)
	}
	err := f.Close()
	return errors.Join(err, d.syncDir(sub))
}

// drop closes and removes a partial file.
func (d *disk) drop(f *os.File) {
	// What is left in partial/ is removed at the next start.
	_ = f.Close()
	_ = os.Remove(f.Name())
}

func (d *disk) syncDir(sub string) error {
	if !d.sync {
		return nil
	}
	if err := d.dirs[sub].Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", sub, err)
	}
	return nil
}

// data opens the bytes of an image.
func (d *disk) data(id string) (*os.File, error) { return os.Open(d.path(dirData, id)) }

// clear removes the files of an image whose id is in graves. What stays behind
// is removed at the next start.
func (d *disk) clear(id string) error {
	return errors.Join(
		remove(d.path(dirRecords, recordName(id))),
		remove(d.path(dirData, id)),
		remove(d.path(dirStaged, id)))
}

// remove removes a file that may be missing.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// diskFull reports whether an error says that there is no room left.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
