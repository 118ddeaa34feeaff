package imageserver

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"

	"github.com/imagefs/imagefs/image"
)

// hashAlgorithm is os_hash_algo of every image.
const hashAlgorithm = "sha512"

// upload answers PUT of an image's bytes.
func (s *Server) upload(w http.ResponseWriter, r *request, id string) error {
	return s.take(w, r, id, image.StatusSaving, func(f *os.File, c *content) error {
		return s.finish(id, image.StatusSaving, f, c)
	})
}

// take receives bytes for an image, which has the status during meanwhile, and gives
// them to done, who owns the file.
func (s *Server) take(w http.ResponseWriter, r *request, id string, during image.Status, done func(*os.File, *content) error) error {
	if err := octets(r); err != nil {
		return err
	}
	rec, err := s.begin(r, id, during)
	if err != nil {
		s.drain(w, r)
		return err
	}
	f, c, err := s.receive(w, r, rec)
	if err != nil {
		s.requeue(id, during)
		return s.uploadFailed(w, r, id, err)
	}
	if err := done(f, c); err != nil {
		return err
	}
	s.log.Info("bytes received", "image", id, "during", during, "size", c.size, "request", r.id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// octets refuses bodies that do not say that they are bytes.
func octets(r *request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/octet-stream" {
		return unsupported(kind)
	}
	return nil
}

// begin moves a queued image to the status of a transfer under way. That status
// is not written to disk: a kill leaves the image queued.
func (s *Server) begin(r *request, id string, to image.Status) (*record, error) {
	unlock := s.index.lock(id)
	defer unlock()
	old, err := s.index.visible(id, r.caller)
	if err != nil {
		return nil, err
	}
	if !old.mutableBy(r.caller) {
		return nil, refuse(http.StatusForbidden, "Not allowed to upload image data for image %s", id)
	}
	if old.Status != image.StatusQueued {
		return nil, refuse(http.StatusConflict, "Image status transition from %s to %s is not allowed", old.Status, to)
	}
	if to == image.StatusSaving {
		if err := formatsSet(old); err != nil {
			return nil, err
		}
	}
	rec := old.clone()
	rec.Status, rec.UpdatedAt = to, s.now()
	s.index.put(rec)
	return rec, nil
}

// formatsSet refuses data for an image whose formats are not chosen yet.
func formatsSet(r *record) error {
	switch {
	case r.DiskFormat == nil && r.ContainerFormat == nil:
		return refuse(http.StatusBadRequest, "Properties disk_format, container_format must be set prior to saving data.")
	case r.DiskFormat == nil:
		return refuse(http.StatusBadRequest, "Property disk_format must be set prior to saving data.")
	case r.ContainerFormat == nil:
		return refuse(http.StatusBadRequest, "Property container_format must be set prior to saving data.")
	}
	return nil
}

// requeue puts an image back after a transfer that failed. The record on disk
// says queued already, so nothing is written there, and a change made meanwhile
// is kept.
func (s *Server) requeue(id string, from image.Status) {
	unlock := s.index.lock(id)
	defer unlock()
	if old := s.index.get(id); old != nil && old.Status == from {
		rec := old.clone()
		rec.empty()
		rec.UpdatedAt = s.now()
		s.index.put(rec)
	}
}

// receive writes the request's body aside. On success the caller owns the file,
// whose bytes are on the disk.
func (s *Server) receive(w http.ResponseWriter, r *request, rec *record) (*os.File, *content, error) {
	room, err := s.room(rec, r.ContentLength)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.disk.partial()
	if err != nil {
		return nil, nil, err
	}
	body, end := s.watch(w, r)
	c, err := receiveInto(f, body, room)
	end()
	if err == nil {
		err = s.disk.flush(f)
	}
	if err != nil {
		s.disk.drop(f)
		return nil, nil, err
	}
	return f, c, nil
}

// room is how many bytes the image may have: cap and quota decide, whichever is
// less. length is what the caller announced, negative when it did not.
func (s *Server) room(rec *record, length int64) (limit, error) {
	l := limit{bytes: -1}
	if s.opt.SizeCap > 0 {
		l = limit{bytes: s.opt.SizeCap, text: fmt.Sprintf("The incoming image is too large: Image exceeds the size limit of %d bytes.", s.opt.SizeCap)}
	}
	if s.opt.Quota > 0 && rec.Owner != nil {
		left := max(0, s.opt.Quota-s.index.usage(*rec.Owner).bytes)
		if l.bytes < 0 || left < l.bytes {
			l = limit{bytes: left, text: fmt.Sprintf("Image exceeds the storage quota: The size of the data will exceed the limit. %d bytes remaining.", left)}
		}
	}
	if l.bytes >= 0 && length > l.bytes {
		return l, refuse(http.StatusRequestEntityTooLarge, "%s", l.text)
	}
	return l, nil
}

// limit is the most bytes of a body and the sentence for more; negative bytes
// are none.
type limit struct {
	bytes int64
	text  string
}

// finish puts received bytes in place and makes the image active, unless it was
// deleted meanwhile.
func (s *Server) finish(id string, from image.Status, f *os.File, c *content) error {
	unlock := s.index.lock(id)
	defer unlock()
	old := s.index.get(id)
	if old == nil || old.Status != from {
		s.disk.drop(f)
		return refuse(http.StatusGone, "Image %s could not be found after upload. The image may have been deleted during the upload, cleaning up the chunks uploaded.", id)
	}
	rec := old.clone()
	c.describe(rec)
	rec.Status, rec.UpdatedAt = image.StatusActive, s.now()
	err := s.disk.keep(f, dirData, id)
	if err == nil {
		err = s.replace(rec)
	}
	if err != nil {
		rec = old.clone()
		rec.empty()
		s.index.put(rec)
		return errors.Join(err, s.disk.save(rec), remove(s.disk.path(dirData, id)))
	}
	return nil
}

// uploadFailed turns the error of a received body into an answer.
func (s *Server) uploadFailed(w http.ResponseWriter, r *request, id string, err error) error {
	var p *problem
	switch {
	case errors.As(err, &p):
		s.drain(w, r)
		return p
	case diskFull(err):
		s.log.Error("upload refused, the disk is full; the image is queued again", "image", id, "request", r.id, "err", err)
		s.drain(w, r)
		return refuse(http.StatusRequestEntityTooLarge, "Image storage media is full: There is not enough disk space on the image storage media.")
	case errors.Is(err, errBody):
		s.log.Warn("upload cut off, the image is queued again", "image", id, "request", r.id, "err", err)
		return &problem{status: http.StatusBadRequest, text: "The request body ended too early.", close: true}
	default:
		return err
	}
}
