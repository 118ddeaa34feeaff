package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// lookFirst is the pause before the second look at an import, lookMost the
	// longest: a small image is there in a moment, a large one takes minutes.
	lookFirst = 250 * time.Millisecond
	lookMost  = 5 * time.Second
	// tasksFrom is the pause from which the tasks are asked for, too: they tell
	// more of an import that takes long, and of one that has failed.
	tasksFrom = time.Second
	// stagedTime is how long the record may not tell whether staging whose answer
	// was lost has ended. Glance notes it when the last byte is on its disk.
	stagedTime = 30 * time.Second
	// importRate is the bytes per second that an import makes at the least, where
	// the service tells nothing of its progress: a slow disk's.
	importRate = 16 << 20
)

// Properties of an image that is imported, in the service's words.
const (
	propertyImportTask = "os_glance_import_task"         // the task at work
	propertyImporting  = "os_glance_importing_to_stores" // stores still to come
	propertyFailed     = "os_glance_failed_import"       // stores that failed
)

// isStaged looks whether all of the data was staged although the answer says, or
// leaves open, that it was not.
func (c *Client) isStaged(ctx context.Context, id string, size int64) bool {
	for begun := time.Now(); time.Since(begun) < stagedTime; {
		img, err := c.Get(ctx, id)
		switch {
		case err == nil && img.Status != image.StatusUploading, err != nil && !lost(err):
			return false
		case err == nil && img.Size > 0:
			return img.Size == size
		}
		if image.Pause(ctx, lookFirst) != nil {
			return false
		}
	}
	return false
}

// awaitImport waits until the image is active. The import has failed when the
// service says so (Unavailable, or Quota), and when nothing of it moves for as
// long as the answer to an upload may take (Stalled).
func (c *Client) awaitImport(ctx context.Context, id string, size int64) error {
	var seen string
	moved, quiet, wait := time.Now(), answerStalls*c.options.Stall, lookFirst
	blind := time.Duration(size/importRate) * time.Second // on top, where nothing tells of progress
	for {
		img, err := c.Get(ctx, id)
		if err == nil && img.Status == image.StatusActive {
			return nil
		}
		var tasks importTasks
		if err == nil && wait >= tasksFrom {
			if tasks = c.importTasks(ctx, id); tasks.text != "" {
				blind = 0
			}
		}
		switch {
		case err == nil && (tasks.failed || importFailed(img)):
			return c.importError(ctx, id, img, tasks)
		case err != nil && !lost(err) && !image.Is(err, image.IdentityAway):
			return err
		case err == nil:
			if now := fmt.Sprint(img.Status, img.UpdatedAt, img.Properties[propertyImporting], tasks.text); now != seen {
				seen, moved = now, time.Now()
			}
		}
		if time.Since(moved) > quiet+blind {
			return &image.Error{Op: string(opImport), Image: id, Kind: image.Stalled, Detail: "the import makes no progress; the image is " + string(img.Status), Err: err}
		}
		if err := image.Pause(ctx, wait); err != nil {
			return &image.Error{Op: string(opImport), Image: id, Kind: image.KindOf(err), Err: err}
		}
		wait = min(wait*3/2, lookMost)
	}
}

// importFailed reports that the record tells of a failed import.
func importFailed(img image.Image) bool {
	return img.Properties[propertyFailed] != "" || img.Status != image.StatusUploading && img.Status != image.StatusImporting
}

// importError is the failure of an import, with what the service says of it. That
// sentence is all there is to tell a quota from what may pass.
func (c *Client) importError(ctx context.Context, id string, img image.Image, tasks importTasks) error {
	if !tasks.failed {
		tasks = c.importTasks(ctx, id)
	}
	kind := image.Unavailable
	if saysQuota(tasks.message) {
		kind = image.Quota
	}
	detail := "the service could not import the data; the image is " + string(img.Status)
	if stores := img.Properties[propertyFailed]; stores != "" {
		detail += ", failed stores: " + oneLine(stores)
	}
	if tasks.message != "" {
		detail += ": " + oneLine(tasks.message)
	}
	return &image.Error{Op: string(opImport), Image: id, Kind: kind, Detail: detail}
}

// importTasks are the service's tasks for one image.
type importTasks struct {
	text    string // all that is told of them; changes with their progress
	message string // the last one's
	failed  bool   // one has failed
}

// importTasks asks for the tasks. A service that does not tell has none: they only say
// more of an import than its record does, which alone decides where they cannot be had.
func (c *Client) importTasks(ctx context.Context, id string) importTasks {
	a, err := c.fetch(ctx, &request{op: opTasks, image: id, method: http.MethodGet, path: "/images/" + id + "/tasks", ok: []int{http.StatusOK}, limit: maxRecord}, idempotent)
	if err != nil {
		return importTasks{}
	}
	var list struct {
		Tasks []struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Updated string `json:"updated_at"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return importTasks{} // it tells nothing that is understood
	}
	var all importTasks
	var text strings.Builder
	for _, t := range list.Tasks {
		text.WriteString(t.Status + t.Message + t.Updated)
		all.message = t.Message
		all.failed = all.failed || t.Status == "failure"
	}
	all.text = text.String()
	return all
}
