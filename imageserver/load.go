package imageserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/image"
)

// loaders is how many records are read at once: enough to hide a disk's latency.
const loaders = 16

// load fills the index from disk and removes what a killed server left: half
// written files, the rest of half deleted images, bytes without a record.
func (d *disk) load(ix *index, log *slog.Logger) error {
	if err := d.sweep(dirPartial, func(string) bool { return false }); err != nil {
		return err
	}
	for _, id := range d.graves.list() {
		ix.bury(id)
	}
	names, err := listDir(d.path(dirRecords, ""))
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(loaders)
	records := make([]*record, len(names))
	for i, name := range names {
		id := strings.TrimSuffix(name, ".json")
		if !validID(id) || name != recordName(id) {
			continue // not ours
		}
		if ix.used(id) {
			if err := d.clear(id); err != nil {
				return errors.Join(err, group.Wait())
			}
			log.Info("finished a deletion that was cut off", "image", id)
			continue
		}
		group.Go(func() (err error) {
			records[i], err = d.loadRecord(id, log)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	ix.fill(records)
	if err := d.sweep(dirData, func(id string) bool { r := ix.get(id); return r != nil && r.hasData() }); err != nil {
		return err
	}
	return d.sweep(dirStaged, func(id string) bool { r := ix.get(id); return r != nil && r.Status == image.StatusUploading })
}

// loadRecord reads one record. What was on its way when the server ended is
// queued again.
func (d *disk) loadRecord(id string, log *slog.Logger) (*record, error) {
	path := d.path(dirRecords, recordName(id))
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is not an image record, move it away to go on without it: %w", path, err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("%s is the record of another image, move it away to go on without it", path)
	}
	switch {
	case r.hasData() || r.Status == image.StatusQueued:
		return r, nil
	case r.Size != nil && (r.Status == image.StatusUploading || r.Status == image.StatusImporting) && exists(d.path(dirStaged, id)):
		r.Status = image.StatusUploading // the import can be asked for again
	default:
		r.empty()
	}
	log.Info("a transfer was cut off", "image", id, "status", r.Status)
	if err := d.save(r); err != nil && !diskFull(err) { // where it is full the next start finds it as this one did
		return nil, err
	}
	return r, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sweep removes the files of a directory that keep does not want.
func (d *disk) sweep(sub string, keep func(name string) bool) error {
	names, err := listDir(d.path(sub, ""))
	if err != nil {
		return err
	}
	for _, name := range names {
		if keep(name) {
			continue
		}
		if err := remove(d.path(sub, name)); err != nil {
			return fmt.Errorf("clean %s: %w", sub, err)
		}
	}
	return nil
}

func listDir(path string) ([]string, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read image directory: %w", err)
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		// The read error says more than one of closing.
		_ = f.Close()
		return nil, fmt.Errorf("read image directory: %w", err)
	}
	return names, f.Close()
}
