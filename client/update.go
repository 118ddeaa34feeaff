package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/imagefs/imagefs/image"
)

const (
	typePatch = "application/openstack-images-v2.1-json-patch"
	// updateTries bounds how often a removal is made anew after a conflict:
	// each means that somebody else changed the same property just then.
	updateTries = 4
)

// patchStep is one operation of a JSON patch.
type patchStep struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Update makes the changes in one request and returns the new record. Changes of
// one image are made one after the other, because Glance lets concurrent ones
// overwrite each other; the lock is held during the request, and only its image
// waits for it. Setting works whether or not the property exists, removing one
// that does not exist is success, and costs two requests more. Kinds: NotFound, Rejected, Quota, Protected,
// Foreign, Forbidden, Busy, and those of every request.
func (c *Client) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	if err := checkID(opUpdate, id); err != nil {
		return image.Image{}, err
	}
	if err := checkChanges(changes); err != nil {
		return image.Image{}, &image.Error{Op: string(opUpdate), Image: id, Kind: image.Rejected, Err: err}
	}
	unlock, err := c.updates.lock(ctx, id)
	if err != nil {
		return image.Image{}, &image.Error{Op: string(opUpdate), Image: id, Kind: image.KindOf(err), Err: err}
	}
	defer unlock()
	for try := 1; ; try++ {
		img, err := c.patch(ctx, id, changes, try > 1)
		if err == nil {
			return img, nil
		}
		if try == updateTries || !removes(changes) || !conflictOrLost(err) {
			return image.Image{}, c.whyForbidden(ctx, id, err)
		}
	}
}

// conflictOrLost reports a failure after which a removal must be decided anew.
func conflictOrLost(err error) bool {
	var t *transportError
	switch statusOf(err) {
	case http.StatusConflict, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return image.Is(err, image.Unavailable) && errors.As(err, &t)
}

// patch makes the changes. The patch sets what it names to values that do not depend
// on the old ones, so a patch without removals may be sent twice. With removals it
// may not: a second removal is a conflict, as is that of a property which is not
// there. Then Update begins anew, with a look at what there is to remove. Who
// removes has mostly seen the property, so the first try goes without.
func (c *Client) patch(ctx context.Context, id string, changes []image.Change, look bool) (image.Image, error) {
	may := idempotent
	if removes(changes) {
		may = unsent
	}
	if look && removes(changes) {
		now, err := c.Get(ctx, id)
		if err != nil {
			var e *image.Error
			if errors.As(err, &e) {
				at := *e
				at.Op = string(opUpdate)
				return image.Image{}, &at
			}
			return image.Image{}, err
		}
		changes = present(changes, now)
		if len(changes) == 0 {
			return now, nil
		}
	}
	body, err := json.Marshal(steps(changes))
	if err != nil {
		return image.Image{}, &image.Error{Op: string(opUpdate), Image: id, Kind: image.Rejected, Err: err}
	}
	a, err := c.fetch(ctx, &request{
		op: opUpdate, image: id, method: http.MethodPatch, path: "/images/" + id,
		contentType: typePatch, body: body, ok: []int{http.StatusOK}, limit: maxRecord,
	}, may)
	if err != nil {
		return image.Image{}, err
	}
	img, err := parseRecord(a.body)
	if err != nil { // the change is made all the same: an error would deny it
		c.log.Warn("the answer to a change makes no sense; the record is read instead", "image", id, "request", a.requestID, "error", err)
		if img, err = c.Get(ctx, id); err != nil {
			return image.Image{}, err
		}
	}
	names := make([]string, len(changes))
	for i, ch := range changes {
		names[i] = ch.Field
	}
	c.logChange(ctx, opUpdate, id, a.requestID, slog.Any("fields", names))
	return img, nil
}

// checkChanges refuses what cannot be said in a patch, and a custom property with
// the name of a field, which would set the field.
func checkChanges(changes []image.Change) error {
	for _, ch := range changes {
		if _, known := fields[ch.Field]; known && ch.Property {
			return fmt.Errorf("a custom property cannot be called %s", ch.Field)
		}
		switch ch.Value.(type) {
		case nil, string, bool, int, int64, []string, image.Visibility:
		default:
			return fmt.Errorf("%s: a value of type %T", ch.Field, ch.Value)
		}
	}
	return nil
}

func removal(ch image.Change) bool { return ch.Property && ch.Value == nil }

func removes(changes []image.Change) bool {
	for _, ch := range changes {
		if removal(ch) {
			return true
		}
	}
	return false
}

// present leaves out removals of properties that the record does not have.
func present(changes []image.Change, now image.Image) []image.Change {
	var kept []image.Change
	for _, ch := range changes {
		if _, has := now.Properties[ch.Field]; !removal(ch) || has {
			kept = append(kept, ch)
		}
	}
	return kept
}

// steps renders changes. "add" of what exists replaces it, in the RFC and in
// Glance, for fields too; only null needs "replace".
func steps(changes []image.Change) []any {
	all := make([]any, 0, len(changes))
	for _, ch := range changes {
		switch path := pointer(ch.Field); {
		case removal(ch):
			all = append(all, struct {
				Op   string `json:"op"`
				Path string `json:"path"`
			}{"remove", path})
		case ch.Value == nil:
			all = append(all, patchStep{"replace", path, nil})
		default:
			if tags, ok := ch.Value.([]string); ok && tags == nil {
				ch.Value = []string{} // null is not a list
			}
			all = append(all, patchStep{"add", path, ch.Value})
		}
	}
	return all
}

// pointer is the JSON pointer of a key at the top of the record.
func pointer(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
