package client

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// Some services refuse PUT of data by policy and want it imported: it is staged
// beside the image, and a task of the service makes it the image's data. That this
// works is found out after the first refusal and remembered as long as the client
// lives.

// methodDirect is the import of what the client has staged.
const methodDirect = "glance-direct"

// importInstead is Upload after PUT was refused: it imports the data if the service
// offers that, else the refusal stands.
func (c *Client) importInstead(ctx context.Context, id string, size int64, body func() io.Reader, refused error) error {
	offered, err := c.offersImport(ctx)
	if err != nil {
		return &image.Error{Op: string(opUpload), Image: id, Kind: image.KindOf(err), Detail: "the service refuses data by PUT, and does not say now whether it imports any", Err: err}
	}
	if !offered {
		return refused
	}
	img, err := c.Get(ctx, id)
	if err != nil {
		return refused
	}
	c.log.Warn("the service refuses data by PUT; it is staged to be imported instead", "image", id, "error", refused)
	if img.Status != image.StatusQueued {
		c.imports.Store(true)
		return &image.Error{Op: string(opUpload), Image: id, Kind: image.Unavailable, Detail: "the refused upload has changed the record, and only a new one takes data", Err: refused}
	}
	err = c.importData(ctx, id, size, body)
	if image.Is(err, image.Forbidden) {
		return refused
	}
	return err
}

// offersImport asks for the ways to import. Where the service does not tell, there
// is none. It is an error where nobody knows: it may tell the next time.
func (c *Client) offersImport(ctx context.Context) (bool, error) {
	a, err := c.fetch(ctx, &request{op: opMethods, method: http.MethodGet, path: "/info/import", ok: []int{http.StatusOK}, limit: maxRecord}, idempotent)
	if lost(err) || image.Is(err, image.Interrupted) || image.Is(err, image.IdentityAway) {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	var info struct {
		Methods struct {
			Value []string `json:"value"`
		} `json:"import-methods"`
	}
	return json.Unmarshal(a.body, &info) == nil && slices.Contains(info.Methods.Value, methodDirect), nil
}

// importData stages the data, has it imported and waits until the image is active.
func (c *Client) importData(ctx context.Context, id string, size int64, body func() io.Reader) error {
	staged, err := c.transfer(ctx, opStage, id, size, body)
	if err != nil && !(lost(err) && c.isStaged(ctx, id, size)) {
		err = c.whyForbidden(ctx, id, err)
		if image.Is(err, image.Forbidden) || image.Is(err, image.NotFound) {
			c.imports.Store(false) // the service may have been configured anew
		}
		return err
	}
	c.imports.Store(true)
	c.logChange(ctx, opStage, id, staged, slog.Int64("bytes", size))
	requestID, err := c.startImport(ctx, id)
	if err != nil {
		return c.whyForbidden(ctx, id, err)
	}
	c.logChange(ctx, opImport, id, requestID)
	return c.awaitImport(ctx, id, size)
}

// lost reports a failure after which the service may have done what it was asked.
func lost(err error) bool {
	return image.Is(err, image.Unavailable) || image.Is(err, image.Stalled) || image.Is(err, image.Unreachable)
}

// startImport has the staged data imported. It may have been heard without our
// hearing of it.
func (c *Client) startImport(ctx context.Context, id string) (requestID string, err error) {
	order := map[string]any{"method": map[string]string{"name": methodDirect}}
	if c.options.Store != "" {
		order["stores"] = []string{c.options.Store}
	}
	data, err := json.Marshal(order)
	if err != nil {
		return "", &image.Error{Op: string(opImport), Image: id, Kind: image.Other, Err: err}
	}
	a, err := c.fetch(ctx, &request{
		op: opImport, image: id, method: http.MethodPost, path: "/images/" + id + "/import",
		contentType: typeJSON, body: data, ok: []int{http.StatusAccepted}, limit: maxErrorBody,
	}, idempotent)
	if err != nil && (lost(err) || a.tries > 1 && image.Is(err, image.Busy)) {
		if img, lookErr := c.Get(ctx, id); lookErr == nil && importBegun(img) {
			return a.requestID, nil
		}
	}
	return a.requestID, err
}

// importBegun reports an image whose import was ordered, or is over.
func importBegun(img image.Image) bool {
	return img.Status == image.StatusImporting || img.Status == image.StatusActive || img.Properties[propertyImportTask] != ""
}
