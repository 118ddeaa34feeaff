package client

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// Usage is how much of a quota the project has used, in the quota's own unit:
// MiB for sizes, else a count. A limit of −1 is none.
type Usage struct {
	Used, Limit int64
}

// usageSwitch turns the request for usage off for good once the service has shown
// that it has none (older than 2023, or not for these credentials).
type usageSwitch struct {
	mu  sync.Mutex // guards the field below
	off error
}

// Usage returns the quotas by name ("image_size_total", "image_count_total", …);
// the map is empty when the service limits nothing. Kinds: Unsupported, and those
// of every request.
func (c *Client) Usage(ctx context.Context) (map[string]Usage, error) {
	c.usage.mu.Lock()
	off := c.usage.off
	c.usage.mu.Unlock()
	if off != nil {
		return nil, off
	}
	r := &request{op: opUsage, method: http.MethodGet, path: "/info/usage", ok: []int{http.StatusOK}, limit: maxRecord}
	a, err := c.fetch(ctx, r, idempotent)
	if err != nil {
		switch image.KindOf(err) {
		case image.Unsupported, image.Credentials, image.Forbidden:
			c.usage.mu.Lock()
			c.usage.off = err
			c.usage.mu.Unlock()
		}
		return nil, err
	}
	var list struct {
		Usage map[string]struct {
			Usage int64 `json:"usage"`
			Limit int64 `json:"limit"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, r.fail(image.UnexpectedAnswer, err)
	}
	usage := make(map[string]Usage, len(list.Usage))
	for name, u := range list.Usage {
		usage[name] = Usage{Used: u.Usage, Limit: u.Limit}
	}
	return usage, nil
}
