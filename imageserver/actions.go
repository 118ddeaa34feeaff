package imageserver

import (
	"net/http"
	"slices"

	"github.com/imagefs/imagefs/image"
)

func (s *Server) deactivate(w http.ResponseWriter, r *request, id string) error {
	return s.activate(w, r, id, "deactivate", image.StatusActive, image.StatusDeactivated)
}

func (s *Server) reactivate(w http.ResponseWriter, r *request, id string) error {
	return s.activate(w, r, id, "reactivate", image.StatusDeactivated, image.StatusActive)
}

// activate moves an image between active and deactivated; where it already is
// nothing changes, not even updated_at.
func (s *Server) activate(w http.ResponseWriter, r *request, id, verb string, from, to image.Status) error {
	unlock := s.index.lock(id)
	defer unlock()
	old, err := s.index.visible(id, r.caller)
	switch {
	case err != nil:
		return err
	case !old.mutableBy(r.caller):
		return errForeign
	case old.Status != from && old.Status != to:
		return refuse(http.StatusForbidden, "Not allowed to %s image in status '%s'", verb, old.Status)
	case old.Status == from:
		rec := old.clone()
		rec.Status, rec.UpdatedAt = to, s.now()
		if err := s.replace(rec); err != nil {
			return err
		}
		s.log.Info("image status changed", "image", id, "status", to, "request", r.id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// addTag answers PUT of one tag.
func (s *Server) addTag(w http.ResponseWriter, r *request, id, tag string) error {
	if err := checkText("tags", tag, maxName); err != nil {
		return err
	}
	_, err := s.change(r, id, func(rec *record) error {
		at, found := slices.BinarySearch(rec.Tags, tag)
		if !found {
			rec.Tags = slices.Insert(rec.Tags, at, tag)
		}
		return checkQuota(rec, false)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// removeTag answers DELETE of one tag.
func (s *Server) removeTag(w http.ResponseWriter, r *request, id, tag string) error {
	_, err := s.change(r, id, func(rec *record) error {
		at, found := slices.BinarySearch(rec.Tags, tag)
		if !found {
			return errNotFound
		}
		rec.Tags = slices.Delete(rec.Tags, at, at+1)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
