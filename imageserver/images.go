package imageserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

const (
	// maxProperties and maxTags are Glance's default quotas of one image.
	maxProperties = 128
	maxTags       = 128
	// reservedPrefix begins the names of properties that belong to the service.
	reservedPrefix = "os_glance"
)

var (
	// reserved can never be the name of a property.
	reserved = []string{"location", "deleted", "deleted_at"}
	// derived are links and the like that a create request must not carry.
	derived = []string{"direct_url", "self", "file", "schema", "stores"}
)

// create answers POST /v2/images: a queued record without data.
func (s *Server) create(w http.ResponseWriter, r *request) error {
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	fields, ok := body.(map[string]any)
	if !ok {
		return mismatch("image", "is not of type 'object'")
	}
	rec, err := s.newRecord(fields, r.caller)
	if err != nil {
		return err
	}
	unlock := s.index.lock(rec.ID)
	defer unlock()
	if s.index.used(rec.ID) {
		return refuse(http.StatusConflict, "Image ID %s already exists!", rec.ID)
	}
	if err := s.disk.save(rec); err != nil {
		return err
	}
	s.index.put(rec)
	s.log.Info("image created", "image", rec.ID, "request", r.id)
	w.Header().Set("Location", hostURL(r)+"/v2/images/"+rec.ID)
	w.Header().Set("Openstack-Image-Import-Methods", importHeader())
	return answer(w, http.StatusCreated, rec.view())
}

// newRecord checks the fields of a create request.
func (s *Server) newRecord(fields map[string]any, c caller) (*record, error) {
	for _, key := range derived {
		if _, found := fields[key]; found {
			return nil, refuse(http.StatusForbidden, "Attribute '%s' is read-only.", key)
		}
	}
	rec := &record{Status: image.StatusQueued, Visibility: image.VisibilityShared, Owner: &c.project}
	for key, value := range fields {
		switch {
		case key == "id":
			id, ok := value.(string)
			if !ok || !validID(id) {
				return nil, mismatch("id", "does not match the pattern of an id")
			}
			rec.ID = id
		case slices.Contains(readOnly, key):
			return nil, refuse(http.StatusForbidden, "Attribute '%s' is read-only.", key)
		case slices.Contains(reserved, key) || key == "locations" || strings.HasPrefix(key, reservedPrefix):
			return nil, forbiddenDetail("Attribute '%s' is reserved.", key)
		default:
			if err := rec.set(key, value); err != nil {
				return nil, err
			}
		}
	}
	if !rec.mutableBy(c) {
		return nil, refuse(http.StatusForbidden, "You are not permitted to create images owned by '%s'.", orElse(rec.Owner, "None"))
	}
	if err := mayPublish(rec, c); err != nil {
		return nil, err
	}
	if err := checkQuota(rec, true); err != nil {
		return nil, err
	}
	if rec.ID == "" {
		rec.ID = uuid.NewString()
	}
	rec.CreatedAt = s.now()
	rec.UpdatedAt = rec.CreatedAt
	return rec, nil
}

// mayPublish holds Glance's default policy: only an admin makes images public.
func mayPublish(r *record, c caller) error {
	if r.Visibility == image.VisibilityPublic && !c.admin {
		return refuse(http.StatusForbidden, "You are not authorized to complete publicize_image action.")
	}
	return nil
}

// checkQuota refuses too many tags, and too many properties where any was added.
func checkQuota(r *record, added bool) error {
	if n := len(r.Tags); n > maxTags {
		return refuse(http.StatusRequestEntityTooLarge, "The limit has been exceeded on the number of allowed image tags. Attempted: %d, Maximum: %d", n, maxTags)
	}
	n := 0
	for name := range r.Properties {
		if !strings.HasPrefix(name, reservedPrefix) {
			n++
		}
	}
	if added && n > maxProperties {
		return refuse(http.StatusRequestEntityTooLarge, "The limit has been exceeded on the number of allowed image properties. Attempted: %d, Maximum: %d", n, maxProperties)
	}
	return nil
}

// show answers GET of one image.
func (s *Server) show(w http.ResponseWriter, r *request, id string) error {
	rec, err := s.index.visible(id, r.caller)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, rec.view())
}

// remove answers DELETE. A download under way goes on, an upload ends with 410.
func (s *Server) remove(w http.ResponseWriter, r *request, id string) error {
	unlock := s.index.lock(id)
	defer unlock()
	rec := s.index.get(id)
	switch {
	case rec == nil || !rec.visibleTo(r.caller):
		return refuse(http.StatusNotFound, "Failed to find image %s to delete", id)
	case !rec.mutableBy(r.caller):
		return errForeign
	case rec.Protected:
		return refuse(http.StatusForbidden, "Image %s is protected and cannot be deleted.", id)
	}
	// From here on it is deleted, also when the server is killed right away.
	if err := s.disk.graves.add(id); err != nil {
		return err
	}
	s.index.bury(id)
	if err := s.disk.clear(id); err != nil {
		s.log.Error("cannot remove files of a deleted image, the next start tries again", "image", id, "err", err)
	}
	s.log.Info("image deleted", "image", id, "request", r.id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// change is every update of a record: edit gets a copy, which is saved with a
// new updated_at and put in place of the old one. The caller must be allowed to
// change the image.
func (s *Server) change(r *request, id string, edit func(*record) error) (*record, error) {
	unlock := s.index.lock(id)
	defer unlock()
	old, err := s.index.visible(id, r.caller)
	if err != nil {
		return nil, err
	}
	if !old.mutableBy(r.caller) {
		return nil, errForeign
	}
	rec := old.clone()
	if err := edit(rec); err != nil {
		return nil, err
	}
	rec.UpdatedAt = s.now()
	return rec, s.replace(rec)
}

// replace saves a changed record and puts it in the index; lock(id) is held. A
// status that lives only as long as a request may be saved with it: load puts it
// back to queued.
func (s *Server) replace(rec *record) error {
	if err := s.disk.save(rec); err != nil {
		return err
	}
	s.index.put(rec)
	return nil
}

func hostURL(r *request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
