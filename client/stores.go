package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/imagefs/imagefs/image"
)

// Stores returns the names of the stores that an upload may choose between. Kinds:
// Unsupported where the service has only one, and those of every request.
func (c *Client) Stores(ctx context.Context) ([]string, error) {
	r := &request{op: opStores, method: http.MethodGet, path: "/info/stores", ok: []int{http.StatusOK}, limit: maxRecord}
	a, err := c.fetch(ctx, r, idempotent)
	if err != nil {
		return nil, err
	}
	var list struct {
		Stores []struct {
			ID string `json:"id"`
		} `json:"stores"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, r.fail(image.UnexpectedAnswer, err)
	}
	names := make([]string, len(list.Stores))
	for i, s := range list.Stores {
		names[i] = s.ID
	}
	return names, nil
}
