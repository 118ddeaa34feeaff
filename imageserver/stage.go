package imageserver

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// setMarks writes the properties of an import, failed being the stores that it
// failed for. The record is nobody else's yet.
func (r *record) setMarks(failed string) {
	none := ""
	if r.Properties == nil {
		r.Properties = map[string]*string{}
	}
	r.Properties[propertyImporting], r.Properties[propertyFailed] = &none, &failed
}

// Properties that an import leaves on its image, as Glance's does.
const (
	propertyImporting = "os_glance_importing_to_stores"
	propertyFailed    = "os_glance_failed_import"
)

// stage answers PUT of bytes that wait for an import.
func (s *Server) stage(w http.ResponseWriter, r *request, id string) error {
	return s.take(w, r, id, image.StatusUploading, func(f *os.File, c *content) error { return s.staged(id, f, c) })
}

// staged keeps received bytes for an import.
func (s *Server) staged(id string, f *os.File, c *content) error {
	unlock := s.index.lock(id)
	defer unlock()
	old := s.index.get(id)
	if old == nil || old.Status != image.StatusUploading {
		s.disk.drop(f)
		return noImage(id)
	}
	rec := old.clone()
	size := c.size
	rec.Size, rec.UpdatedAt = &size, s.now()
	err := s.disk.keep(f, dirStaged, id)
	if err == nil {
		err = s.replace(rec)
	}
	if err != nil {
		rec = old.clone()
		rec.empty()
		s.index.put(rec)
		return errors.Join(err, s.disk.save(rec), remove(s.disk.path(dirStaged, id)))
	}
	return nil
}

// importStaged answers POST of an import: what was staged becomes the image's
// data. It goes on after the answer.
func (s *Server) importStaged(w http.ResponseWriter, r *request, id string) error {
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	if err := checkImport(body); err != nil {
		return err
	}
	_, err = s.change(r, id, func(rec *record) error {
		switch {
		case rec.Status == image.StatusActive:
			return refuse(http.StatusConflict, "Image with status active cannot be target for import")
		case rec.Status != image.StatusUploading || rec.Size == nil:
			return refuse(http.StatusConflict, "Image needs to be staged before 'glance-direct' method can be used")
		case rec.ContainerFormat == nil:
			return refuse(http.StatusConflict, "'container_format' needs to be set before import")
		case rec.DiskFormat == nil:
			return refuse(http.StatusConflict, "'disk_format' needs to be set before import")
		}
		rec.Status = image.StatusImporting
		rec.setMarks("")
		return nil
	})
	if err != nil {
		return err
	}
	if !s.startImport(id) {
		s.requeue(id, image.StatusImporting)
		return refuse(http.StatusServiceUnavailable, "The server is shutting down.")
	}
	s.log.Info("image import begun", "image", id, "request", r.id)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func checkImport(body any) error {
	fields, ok := body.(map[string]any)
	if !ok {
		return refuse(http.StatusBadRequest, "Import request requires a 'method' field.")
	}
	method, ok := fields["method"].(map[string]any)
	if !ok {
		return refuse(http.StatusBadRequest, "Import request requires a 'method' field.")
	}
	name, ok := method["name"].(string)
	if !ok {
		return refuse(http.StatusBadRequest, "Import request requires a 'name' field.")
	}
	if !slices.Contains(importMethods, name) {
		return refuse(http.StatusBadRequest, "Unknown import method name '%s'.", name)
	}
	return nil
}

// startImport runs an import in the background, unless the server is closed.
func (s *Server) startImport(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.imports.Go(func() {
		err := s.runImport(id)
		if err != nil && s.ctx.Err() == nil { // else load finds it staged again
			s.log.Error("import failed, the image is queued again", "image", id, "err", err)
			s.importFailed(id)
		}
	})
	return true
}

// runImport hashes staged bytes and moves them into place.
func (s *Server) runImport(id string) error {
	f, err := os.Open(s.disk.path(dirStaged, id))
	if err != nil {
		return fmt.Errorf("open staged data: %w", err)
	}
	defer f.Close() // only read
	to, err := s.disk.partial()
	if err != nil {
		return err
	}
	c, err := receiveInto(to, &cancelReader{s.ctx, f}, limit{bytes: -1})
	if err == nil {
		err = s.disk.flush(to)
	}
	if err != nil {
		s.disk.drop(to)
		return fmt.Errorf("copy staged data: %w", err)
	}
	if err := s.finish(id, image.StatusImporting, to, c); err != nil {
		return err
	}
	s.log.Info("image imported", "image", id, "size", c.size)
	return remove(s.disk.path(dirStaged, id))
}

// importFailed leaves the marks of a failed import.
func (s *Server) importFailed(id string) {
	unlock := s.index.lock(id)
	defer unlock()
	old := s.index.get(id)
	if old == nil || old.Status != image.StatusImporting {
		return // deleted meanwhile
	}
	rec := old.clone()
	rec.empty()
	rec.setMarks("store")
	rec.UpdatedAt = s.now()
	if err := errors.Join(s.replace(rec), remove(s.disk.path(dirStaged, id))); err != nil {
		s.log.Error("cannot note a failed import; it is queued again at the next start", "image", id, "err", err)
	}
}
