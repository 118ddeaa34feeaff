package staging

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Kept lists what earlier runs left for this service: every draft whose journal
// nobody holds, oldest first. It changes nothing. What cannot be understood is
// listed with Record.Damage set; a file that is no draft's is ignored.
func (s *Store) Kept() ([]Record, error) {
	names, err := s.disk.list()
	if err != nil {
		return nil, fail("list drafts in "+s.path, "", err)
	}
	var kept []Record
	for _, name := range names {
		id, ok := draftOf(name, journalSuffix)
		if !ok {
			continue
		}
		if r, ok := s.look(id); ok {
			kept = append(kept, r)
		}
	}
	slices.SortFunc(kept, func(a, b Record) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Draft, b.Draft)
	})
	return kept, nil
}

// look reads one draft; false when somebody holds it or it is gone meanwhile.
func (s *Store) look(id string) (Record, bool) {
	r := Record{Draft: id, Path: s.dataPath(id)}
	data, err := s.disk.open(id + dataSuffix)
	if err == nil {
		defer closeRead(s.log, data)
		free, lockErr := lock(data, syscall.LOCK_SH)
		if lockErr == nil && !free {
			return Record{}, false
		}
		err = lockErr
	}
	text, readErr := s.disk.read(id+journalSuffix, maxJournal)
	if errors.Is(readErr, fs.ErrNotExist) {
		return Record{}, false
	}
	var j journal
	if readErr == nil {
		j, readErr = parseJournal(text, id)
	}
	if readErr == nil && j.Service != s.service {
		readErr = errors.New("its journal belongs to the service " + j.Service)
	}
	if readErr == nil {
		j.Path = r.Path
		r = j.Record
	}
	if err == nil {
		r.Size, r.Stored, err = measure(data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Damage = "its data file is missing"
	case err != nil:
		r.Damage = "its data file cannot be read: " + err.Error()
	}
	if readErr != nil {
		r.Damage = readErr.Error()
	}
	return r, true
}

// sweep finishes what a crash interrupted: it removes drafts that were being
// discarded or that the service has whole, and journals half written aside. It
// touches nothing that another process holds.
func (s *Store) sweep() error {
	names, err := s.disk.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if id, ok := draftOf(name, goneSuffix); ok {
			err = errors.Join(err, s.unlessHeld(id, func() error { return s.eraseGone(id) }))
		}
		if id, ok := draftOf(name, asideSuffix); ok {
			err = errors.Join(err, s.unlessHeld(id, func() error { return s.disk.remove(id + asideSuffix) }))
		}
		if id, ok := draftOf(name, journalSuffix); ok {
			err = errors.Join(err, s.unlessHeld(id, func() error { return s.eraseSettled(id) }))
		}
	}
	return err
}

// unlessHeld calls fn with the draft's lock; it does nothing where somebody
// else has that.
func (s *Store) unlessHeld(id string, fn func() error) error {
	data, err := s.disk.open(id + dataSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fn()
	case err != nil:
		return nil // not a data file that can be opened: Kept reports it
	}
	defer closeRead(s.log, data)
	if held, err := lock(data, syscall.LOCK_EX); err != nil || !held {
		return err
	}
	return fn()
}

// eraseGone goes on with a Discard: the marker goes last.
func (s *Store) eraseGone(id string) error {
	if err := s.disk.remove(id + dataSuffix); err != nil {
		return err
	}
	return s.disk.remove(id + goneSuffix)
}

// eraseSettled removes a draft whose journal says that nobody needs it: the
// service has it whole, or it was unlinked and no commit had begun.
func (s *Store) eraseSettled(id string) error {
	text, err := s.disk.read(id+journalSuffix, maxJournal)
	if err != nil {
		return nil // Kept reports it
	}
	j, err := parseJournal(text, id)
	if err != nil || j.Service != s.service {
		return nil // Kept reports it
	}
	if j.State != StateCommitted && !(j.Unlinked && j.Image == "") {
		return nil
	}
	s.log.Info("removing a draft that is settled", "draft", id, "image", j.Image, "name", j.Name, "state", j.State)
	if err := s.disk.rename(id+journalSuffix, id+goneSuffix); err != nil {
		return err
	}
	return s.eraseGone(id)
}

func (s *Store) dataPath(id string) string {
	return s.path + string(os.PathSeparator) + id + dataSuffix
}

// measure returns a data file's length and the bytes it occupies.
func measure(f *os.File) (size, stored int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, 0, errors.New("not a regular file")
	}
	const statBlock = 512 // bytes: the unit of st_blocks, whatever the filesystem's own
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		stored = stat.Blocks * statBlock
	}
	return info.Size(), stored, nil
}

// closeRead closes a file that was only looked at: an error loses nothing.
func closeRead(log *slog.Logger, f *os.File) {
	if err := f.Close(); err != nil {
		log.Warn("a draft that was looked at could not be closed; its lock may stay", "path", f.Name(), "error", err)
	}
}
