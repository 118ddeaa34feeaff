package client

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// record makes a request that answers with a record.
func (c *Client) record(ctx context.Context, r *request, p policy) (image.Image, answer, error) {
	r.limit = maxRecord
	a, err := c.fetch(ctx, r, p)
	if err != nil {
		return image.Image{}, a, err
	}
	img, err := parseRecord(a.body)
	if err != nil {
		return image.Image{}, a, &image.Error{Op: string(r.op), Image: r.image, Kind: image.UnexpectedAnswer, RequestID: a.requestID, Err: err}
	}
	return img, a, nil
}

// checkID refuses an id that is none, without a request.
func checkID(o op, id string) error {
	if validID(id) {
		return nil
	}
	return &image.Error{Op: string(o), Image: oneLine(id), Kind: image.NotFound, Detail: "not a UUID"}
}

// Get returns the image's record. Kinds: NotFound, and those of every request
// (Credentials, IdentityAway, Forbidden, Unreachable, Untrusted, Unavailable,
// Stalled, UnexpectedAnswer, Interrupted when ctx ends).
func (c *Client) Get(ctx context.Context, id string) (image.Image, error) {
	if err := checkID(opGet, id); err != nil {
		return image.Image{}, err
	}
	img, _, err := c.record(ctx, &request{op: opGet, image: id, method: http.MethodGet, path: "/images/" + id, ok: []int{http.StatusOK}}, idempotent)
	return img, err
}

// Create makes a record without data and returns it. A missing id is chosen here,
// because a create whose answer was lost is only recognised by its id. Kinds:
// Exists, Rejected, Quota, Forbidden, and those of every request.
func (c *Client) Create(ctx context.Context, n image.New) (image.Image, error) {
	if n.ID == "" {
		n.ID = uuid.NewString()
	}
	if !validID(n.ID) {
		return image.Image{}, &image.Error{Op: string(opCreate), Image: oneLine(n.ID), Kind: image.Rejected, Detail: "not a UUID"}
	}
	body, err := createBody(n)
	if err != nil {
		return image.Image{}, &image.Error{Op: string(opCreate), Image: n.ID, Kind: image.Rejected, Err: err}
	}
	img, a, err := c.record(ctx, &request{
		op: opCreate, image: n.ID, method: http.MethodPost, path: "/images",
		contentType: typeJSON, body: body, ok: []int{http.StatusCreated},
	}, idempotent)
	if err != nil && a.tries > 1 && image.Is(err, image.Exists) {
		// An earlier try may have been heard without our hearing of it.
		if found, lookErr := c.Get(ctx, n.ID); lookErr == nil && matches(found, n) {
			img, err = found, nil
		}
	}
	if err != nil {
		return image.Image{}, err
	}
	c.logChange(ctx, opCreate, n.ID, a.requestID, slog.String("name", n.Name))
	return img, nil
}

// matches reports that the record is the one that n asked for.
func matches(i image.Image, n image.New) bool {
	if i.Name != n.Name || i.Status != image.StatusQueued || i.DiskFormat != n.DiskFormat || i.Hidden != n.Hidden {
		return false
	}
	for k, v := range n.Properties {
		if i.Properties[k] != v {
			return false
		}
	}
	return true
}

// createBody renders a create request. A property with the name of a field would
// set the field, and is refused.
func createBody(n image.New) ([]byte, error) {
	object := make(map[string]any, len(n.Properties)+8)
	for k, v := range n.Properties {
		if _, taken := fields[k]; taken {
			return nil, errors.New("a custom property cannot be called " + k)
		}
		object[k] = v
	}
	set := func(key string, value any, given bool) {
		if given {
			object[key] = value
		}
	}
	set("id", n.ID, true)
	set("name", n.Name, n.Name != "")
	set("disk_format", n.DiskFormat, n.DiskFormat != "")
	set("container_format", n.ContainerFormat, n.ContainerFormat != "")
	set("visibility", n.Visibility, n.Visibility != "")
	set("protected", true, n.Protected)
	set("os_hidden", true, n.Hidden)
	set("min_disk", n.MinDisk, n.MinDisk != 0)
	set("min_ram", n.MinRAM, n.MinRAM != 0)
	set("tags", n.Tags, len(n.Tags) > 0)
	return json.Marshal(object)
}

// Delete deletes the image. Kinds: NotFound, Protected, Foreign, Forbidden, Busy
// (in use), and those of every request. A broken connection is tried again, and
// that the image is gone then is success.
func (c *Client) Delete(ctx context.Context, id string) error {
	if err := checkID(opDelete, id); err != nil {
		return err
	}
	a, err := c.fetch(ctx, &request{
		op: opDelete, image: id, method: http.MethodDelete, path: "/images/" + id,
		ok: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}, limit: maxErrorBody,
	}, idempotent)
	if a.tries > 1 && image.Is(err, image.NotFound) {
		err = nil
	}
	if err != nil {
		return c.whyForbidden(ctx, id, err)
	}
	c.logChange(ctx, opDelete, id, a.requestID)
	return nil
}

// whyForbidden tells a protected and a foreign image from a permission that is
// missing. The status is the same for all, so it looks at the record.
func (c *Client) whyForbidden(ctx context.Context, id string, err error) error {
	var e *image.Error
	if !errors.As(err, &e) || e.Kind != image.Forbidden {
		return err
	}
	img, getErr := c.Get(ctx, id)
	if getErr != nil {
		return err // the refusal stands, whatever its reason
	}
	refined := *e
	switch {
	case img.Owner != "" && c.Project() != "" && img.Owner != c.Project():
		refined.Kind = image.Foreign
	case img.Protected:
		refined.Kind = image.Protected
	default:
		return err
	}
	return &refined
}

// logChange writes the one line that every change leaves.
func (c *Client) logChange(ctx context.Context, o op, id, requestID string, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("image", id), slog.String("request", requestID)}, more...)
	if caller, ok := image.CallerOf(ctx); ok {
		attrs = append(attrs, slog.Any("caller", caller))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, string(o), attrs...)
}
