package staging

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Kept lists what earlier runs left for this service: every draft whose journal
// nobody holds, oldest first. It changes nothing. What cannot be understood is
// listed with Record.Damage set; a file that is no draft's is ignored.
func (s *Store) Kept() ([]Record, error) {
	all, err := s.all()
	return slices.DeleteFunc(all, func(r Record) bool { return r.Held }), err
}

// all lists every draft, oldest first, those that somebody holds too.
func (s *Store) all() ([]Record, error) {
	names, err := s.disk.list()
	if err != nil {
		return nil, fail("list drafts in "+s.path, "", err)
	}
	seen := make(map[string]bool, len(names))
	var all []Record
	for _, name := range names {
		id, ok := draftOf(name, journalSuffix)
		if !ok {
			id, ok = draftOf(name, dataSuffix)
		}
		if !ok || seen[id] {
			continue
		}
		seen[id] = true
		if r, ok := s.look(id); ok {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, byAge)
	return all, nil
}

// byAge puts the oldest first.
func byAge(a, b Record) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(a.Draft, b.Draft)
}

// look reads one draft; false when it is gone, or not there yet.
func (s *Store) look(id string) (Record, bool) {
	r := Record{Draft: id, Path: s.dataPath(id)}
	data, err := s.disk.open(id + dataSuffix)
	if err == nil {
		defer closeRead(s.log, data)
		var free bool
		free, err = lock(data, syscall.LOCK_SH)
		r.Held = err == nil && !free
	}
	if err == nil {
		r.Size, r.Stored, err = measure(data)
	}
	j, journalErr := s.readJournal(id)
	switch {
	case errors.Is(journalErr, fs.ErrNotExist) && s.debris(id, r, err):
		return Record{}, false
	case journalErr == nil:
		j.Path, j.Stored, j.Held = r.Path, r.Stored, r.Held
		size := j.Size
		if err == nil {
			size = r.Size
		}
		j.Uncertain = !r.Held && j.uncertain(s.boot, size)
		j.Size = size
		r = j.Record
	}
	switch {
	case errors.Is(journalErr, fs.ErrNotExist):
		r.Damage = "its journal is missing"
	case journalErr != nil:
		r.Damage, r.Newer = journalErr.Error(), newer(journalErr)
	case errors.Is(err, fs.ErrNotExist):
		r.Damage = "its data file is missing"
	case err != nil:
		r.Damage = "its data file cannot be read: " + err.Error()
	}
	return r, true
}

// readJournal reads the journal of a draft of this service, which Survey knows by
// the directory only.
func (s *Store) readJournal(id string) (journal, error) {
	text, err := s.disk.read(id+journalSuffix, maxJournal)
	if err != nil {
		return journal{}, err
	}
	j, err := parseJournal(text, id)
	ours := j.Service == s.service || s.service == "" && serviceDir(j.Service) == filepath.Base(s.path)
	if err == nil && !ours {
		err = errors.New("its journal belongs to the service " + j.Service)
	}
	return j, err
}

// debris reports whether a draft without a journal is nothing to tell about: a
// Create or a Discard that did not finish, or one that ended meanwhile. dataErr
// is what opening its data file gave.
func (s *Store) debris(id string, r Record, dataErr error) bool {
	if errors.Is(dataErr, fs.ErrNotExist) || dataErr == nil && r.Stored == 0 {
		return true
	}
	_, err := s.disk.read(id+goneSuffix, maxJournal)
	return !errors.Is(err, fs.ErrNotExist)
}

func (s *Store) dataPath(id string) string {
	return filepath.Join(s.path, id+dataSuffix)
}

// closeRead closes a file that was only looked at: an error loses nothing.
func closeRead(log *slog.Logger, f *os.File) {
	if err := f.Close(); err != nil {
		log.Warn("a draft that was looked at could not be closed; its lock may stay", "path", f.Name(), "error", err)
	}
}
