package staging

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// sweep finishes what a crash interrupted: it removes drafts that were being
// discarded or made or that the service has whole, and journals half written
// aside. It touches nothing that another process holds. What cannot be removed
// is logged and stays.
func (s *Store) sweep() error {
	names, err := s.disk.list()
	if err != nil {
		return err
	}
	settle := map[string]func(string, *os.File) error{
		goneSuffix:    s.sweepGone,
		asideSuffix:   s.sweepAside,
		journalSuffix: s.sweepSettled,
		dataSuffix:    s.sweepUnborn,
	}
	for _, name := range names {
		if id, ok := draftOf(name, renameSuffix); ok {
			if err := s.sweepRename(id); err != nil {
				s.log.Warn("the journal of a rename that had not begun stays", "path", s.path, "file", name, "error", err)
			}
			continue
		}
		for suffix, settle := range settle {
			id, ok := draftOf(name, suffix)
			if !ok {
				continue
			}
			if err := s.unlessHeld(id, settle); err != nil {
				s.log.Warn("debris of an earlier run was not removed from staging; it stays",
					"path", s.path, "file", name, "error", err)
			}
		}
	}
	return s.sweepSuperseded()
}

// sweepSuperseded unlinks drafts over which others were renamed (Draft.RenameOver), where
// both would be committed. What only the user can settle stays.
func (s *Store) sweepSuperseded() error {
	kept, err := s.Kept()
	if err != nil {
		return err
	}
	for _, by := range kept {
		i := slices.IndexFunc(kept, func(r Record) bool { return r.Draft == by.Supersedes })
		if i < 0 || !kept[i].Owed() || !by.Owed() || by.Uncertain || kept[i].Entry != by.Entry {
			continue
		}
		s.log.Info("removing a draft that another was renamed over", "draft", by.Supersedes, "name", by.Name, "by", by.Draft)
		if err := s.unlinkKept(by.Supersedes); err != nil {
			s.log.Warn("a draft that another was renamed over could not be removed; both are committed", "draft", by.Supersedes, "name", by.Name, "by", by.Draft, "error", err)
		}
	}
	return nil
}

// unlinkKept does what unlink(2) of its file would have done to a kept draft.
func (s *Store) unlinkKept(id string) error {
	d, err := s.Reopen(id, ReopenSpec{})
	if err != nil {
		return err
	}
	if err := d.Unlink(); err != nil || d.Record().Image != "" { // its commit has left something to remove
		return errors.Join(err, d.Close())
	}
	return d.Discard()
}

// unlessHeld calls fn with the draft's lock and its data file (nil when there is
// none); it does nothing where somebody else has the lock, or where the data
// file cannot be opened, which Kept reports.
func (s *Store) unlessHeld(id string, fn func(id string, data *os.File) error) error {
	data, err := s.disk.open(id + dataSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fn(id, nil)
	case err != nil:
		return nil
	}
	defer closeRead(s.log, data)
	if held, err := lock(data, syscall.LOCK_EX); err != nil || !held {
		return err
	}
	return fn(id, data)
}

// sweepGone goes on with a Discard: the marker goes last.
func (s *Store) sweepGone(id string, _ *os.File) error {
	if err := s.newer(id+goneSuffix, id); err != nil {
		return err
	}
	return s.eraseGone(id)
}

// sweepAside removes a journal half written: the whole one is beside it.
func (s *Store) sweepAside(id string, _ *os.File) error {
	for _, suffix := range []string{journalSuffix, asideSuffix} {
		if err := s.newer(id+suffix, id); err != nil {
			return err
		}
	}
	return s.disk.remove(id + asideSuffix)
}

// newer returns why a file that has the form of a journal is left to a later version of
// this program; nil where it need not be.
func (s *Store) newer(name, id string) error {
	text, err := s.disk.read(name, maxJournal)
	if err != nil {
		return nil // not there, or nothing that a journal can be
	}
	if _, err := parseJournal(text, id); newer(err) {
		return err
	}
	return nil
}

// sweepSettled removes a draft whose journal says that nobody needs it: the
// service has it whole, or it was unlinked and no commit had begun.
func (s *Store) sweepSettled(id string, _ *os.File) error {
	j, err := s.readJournal(id)
	if err != nil {
		return nil // gone meanwhile, or damaged: Kept reports it
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

// sweepUnborn removes the data file of a Create that did not get to its journal:
// no byte was ever written to it.
func (s *Store) sweepUnborn(id string, data *os.File) error {
	if data == nil {
		return nil
	}
	if _, stored, err := measure(data); err != nil || stored > 0 {
		return nil // Kept reports it
	}
	for _, suffix := range []string{journalSuffix, goneSuffix} {
		if _, err := s.disk.read(id+suffix, maxJournal); !errors.Is(err, fs.ErrNotExist) {
			return nil // a draft, or a Discard to go on with
		}
	}
	return s.disk.remove(id + dataSuffix)
}

// eraseGone removes the data of a discarded draft, then the marker.
func (s *Store) eraseGone(id string) error {
	if err := s.disk.remove(id + dataSuffix); err != nil {
		return err
	}
	return s.disk.remove(id + goneSuffix)
}
