package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

const (
	// pageSize is the most that Glance gives; it cuts more silently.
	pageSize = 1000
	// listRestarts bounds how often a listing begins again because the image
	// at a page's end was deleted: a listing that is overtaken this often is
	// of a service where something else is wrong.
	listRestarts = 8
)

// List hands all images that pass the filter to yield, page by page, each id
// once. An error of yield ends the listing and is returned as it is. A record
// that cannot be read is left out with a line in the log. Kinds: those of every
// request.
func (c *Client) List(ctx context.Context, f Filter, yield func([]image.Image) error) error {
	seen := make(map[uuid.UUID]struct{})
	for restarts := 0; ; restarts++ {
		overtaken, err := c.listOnce(ctx, f, seen, yield)
		if !overtaken || restarts == listRestarts {
			return err
		}
		c.log.Info("the listing was overtaken by a deletion and begins again", "restarts", restarts+1, "error", err)
	}
}

// listOnce reads the listing from its beginning to its end and yields what is not
// in seen. The answer 400 to a page after the first means that its marker is gone:
// the listing was overtaken.
func (c *Client) listOnce(ctx context.Context, f Filter, seen map[uuid.UUID]struct{}, yield func([]image.Image) error) (overtaken bool, err error) {
	query := f.query()
	followed := make(map[string]struct{})
	for {
		r := &request{op: opList, method: http.MethodGet, path: "/images", query: query, limit: maxPage, ok: []int{http.StatusOK}}
		a, err := c.fetch(ctx, r, idempotent)
		if err != nil {
			return len(followed) > 0 && statusOf(err) == http.StatusBadRequest, err
		}
		p, err := parsePage(a.body)
		if err != nil {
			return false, r.fail(image.UnexpectedAnswer, err)
		}
		if fresh := c.readPage(p, f, seen); len(fresh) > 0 {
			if err := yield(fresh); err != nil {
				return false, err
			}
		}
		if p.Next == "" {
			return false, nil
		}
		// Only the query of the link counts: behind a proxy Glance does not
		// know its own path, and the token must go nowhere else.
		next, err := url.Parse(p.Next)
		if err != nil {
			return false, r.fail(image.UnexpectedAnswer, err)
		}
		query = next.Query()
		key := query.Encode()
		if _, again := followed[key]; again || query.Get("marker") == "" {
			e := r.fail(image.UnexpectedAnswer, nil)
			e.Detail = "the listing has no end: a page leads back to " + oneLine(p.Next)
			return false, e
		}
		followed[key] = struct{}{}
	}
}

func (c *Client) readPage(p page, f Filter, seen map[uuid.UUID]struct{}) []image.Image {
	fresh := make([]image.Image, 0, len(*p.Images))
	for _, raw := range *p.Images {
		img, err := parseRecord(raw)
		if err != nil {
			c.log.Warn("a record of the listing is not understood and left out", "error", err)
			continue
		}
		id := uuid.MustParse(img.ID) // parseRecord has made sure
		if _, known := seen[id]; known {
			continue
		}
		seen[id] = struct{}{}
		if f.Name == nil || *f.Name == img.Name {
			fresh = append(fresh, img)
		}
	}
	return fresh
}
