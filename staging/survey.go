package staging

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// Survey lists the drafts of every service in a staging directory (Options.Dir),
// oldest first, as Kept does, and those that somebody holds, with Record.Held. It
// asks nobody and changes nothing; where there is no directory there are none. A
// directory that is not this user's alone is kind Misconfigured.
func Survey(dir string) ([]Record, error) {
	stores, err := openAll(dir)
	var all []Record
	for _, s := range stores {
		found, listErr := s.all()
		all = append(all, found...)
		err = errors.Join(err, listErr, s.Close())
	}
	slices.SortFunc(all, byAge)
	return all, err
}

// openAll opens the directory of each service as it is.
func openAll(dir string) ([]*Store, error) {
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, unusable(dir, err)
	}
	if err := checkExisting(dir); err != nil {
		return nil, err
	}
	var stores []*Store
	for _, e := range names {
		if raw, err := hex.DecodeString(e.Name()); err != nil || len(raw) != serviceDirBytes || !e.IsDir() {
			continue // not ours
		}
		var s *Store
		if s, err = openAsItIs(filepath.Join(dir, e.Name())); err != nil {
			break
		}
		stores = append(stores, s)
	}
	return stores, err
}

func openAsItIs(path string) (*Store, error) {
	if err := checkExisting(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	return newStore(Options{Logger: slog.New(slog.DiscardHandler)}, path, rootDisk{root}), nil
}

func checkExisting(dir string) error {
	if err := localdir.Check(dir, os.Geteuid()); err != nil {
		return notPrivate(dir, err)
	}
	return nil
}

// Discard removes a draft that Survey or Kept has found, also a damaged one: the
// user says so. One that somebody holds is kind Busy and stays; so does one that a later
// version has to settle, which is kind Rejected: what else belongs to it is not known.
func Discard(r Record) error {
	if r.Newer {
		return &image.Error{Op: "discard draft", Image: r.Draft, Kind: image.Rejected, Detail: r.Damage}
	}
	s, err := openAsItIs(filepath.Dir(r.Path))
	if err != nil {
		return err
	}
	return errors.Join(s.remove(r.Draft), s.Close())
}

// remove takes the draft's lock, where there is a data file to lock, and removes it
// in the order of Draft.Discard.
func (s *Store) remove(id string) error {
	data, err := s.take(id)
	switch {
	case image.Is(err, image.Corrupt): // no data file that could be locked
	case err != nil:
		return err
	default:
		defer closeRead(s.log, data)
	}
	err = s.disk.rename(id+journalSuffix, id+goneSuffix)
	switch {
	case err == nil: // a loss of power must not bring back what a mount would commit
		err = s.disk.sync()
	case errors.Is(err, fs.ErrNotExist): // damaged: nothing says that its data are precious
		err = nil
	}
	if err == nil {
		err = s.eraseGone(id)
	}
	return fail("discard draft", id, err)
}

// ExpireAbandoned removes the store's project's drafts whose writers are known to have
// been killed, before the given time, and returns them. Nothing else is removed, nothing that
// somebody holds, and nothing that an image at the service may be left of: only its
// journal knows that. On an error the others are removed all the same.
func (s *Store) ExpireAbandoned(before time.Time) ([]Record, error) {
	kept, err := s.Kept()
	var gone []Record
	for _, r := range kept {
		foreign := r.Project != "" && s.project != "" && r.Project != s.project // another mount's, with a time of its own
		if r.Damage != "" || foreign || r.State != StateAbandoned || r.Unsure || r.Image != "" || !r.UpdatedAt.Before(before) {
			continue
		}
		removeErr := s.expire(r)
		switch {
		case image.Is(removeErr, image.Busy), image.Is(removeErr, image.NotFound): // somebody else's now
		case removeErr != nil:
			err = errors.Join(err, removeErr)
		default:
			gone = append(gone, r)
		}
	}
	return gone, err
}

// expire removes one draft if it still is what Kept has seen.
func (s *Store) expire(r Record) error {
	d, err := s.Reopen(r.Draft, ReopenSpec{})
	if err != nil {
		return err
	}
	if now := d.Record(); now.State != r.State || !now.UpdatedAt.Equal(r.UpdatedAt) {
		return d.Close()
	}
	return d.Discard()
}
