package client

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// maxVersions bounds the list of versions: Glance's has 2 KB.
const maxVersions = 1 << 20

// apiSuffix is the version at the end of an endpoint, which catalogs have or not.
var apiSuffix = regexp.MustCompile(`/v[0-9]+(\.[0-9]+)?$`)

// discover finds the Image API v2 at the endpoint and makes one small listing, so
// that a wrong address, a wrong token and a missing permission show at once.
func (c *Client) discover(ctx context.Context, endpoint string) error {
	root, versioned, err := canonical(endpoint)
	if err != nil {
		return misconfigured("the endpoint is not an http or https URL")
	}
	c.base = root
	a, err := c.fetch(ctx, &request{
		op: opDiscover, method: http.MethodGet, path: "/", limit: maxVersions,
		ok: []int{http.StatusOK, http.StatusMultipleChoices},
	}, idempotent)
	c.base = root + "/v2"
	switch found := versions(a.body); {
	case err != nil && (statusOf(err) == 0 || !versioned):
		return err // nothing answers, or nothing else is known of the service
	case err == nil && len(found) == 0 && !versioned:
		return &image.Error{Op: string(opDiscover), Kind: image.UnexpectedAnswer, RequestID: a.requestID,
			Detail: root + " is not an Image API: it names no versions"}
	case len(found) > 0 && !hasV2(found):
		return &image.Error{Op: string(opDiscover), Kind: image.UnexpectedAnswer,
			Detail: root + " has no version 2 of the Image API, only " + strings.Join(found, ", ")}
	}
	// A proxy may publish /v2 alone: the listing decides.
	a, err = c.fetch(ctx, &request{
		op: opDiscover, method: http.MethodGet, path: "/images", query: url.Values{"limit": {"1"}},
		limit: maxRecord, ok: []int{http.StatusOK},
	}, idempotent)
	if err != nil {
		return err
	}
	if _, err := parsePage(a.body, func(img image.Image, _ image.UUID, err error) {
		if err == nil { // a listing leaves out a record that is not understood
			c.hashAlgo = img.HashAlgo
		}
	}); err != nil {
		return &image.Error{Op: string(opDiscover), Kind: image.UnexpectedAnswer, Detail: c.base + " is not an Image API", Err: err}
	}
	c.identifies = a.requestID != ""
	return nil
}

// canonical returns the endpoint without its version, without user, password,
// query and fragment, in lower case and without a default port, and whether it
// had a version.
func canonical(endpoint string) (root string, versioned bool, err error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return "", false, err
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if (scheme != "http" && scheme != "https") || u.Hostname() == "" {
		return "", false, url.InvalidHostError(endpoint)
	}
	if p := u.Port(); (scheme == "http" && p == "80") || (scheme == "https" && p == "443") {
		host = strings.ToLower(u.Hostname())
		if net.ParseIP(host).To4() == nil && strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if v := apiSuffix.FindString(path); v != "" {
		path, versioned = strings.TrimRight(strings.TrimSuffix(path, v), "/"), true
	}
	return scheme + "://" + host + path, versioned, nil
}

// versions returns the ids in a list of versions, nil if it is none.
func versions(body []byte) []string {
	var list struct {
		Versions []struct {
			ID string `json:"id"`
		} `json:"versions"`
	}
	if json.Unmarshal(body, &list) != nil {
		return nil
	}
	var ids []string
	for _, v := range list.Versions {
		ids = append(ids, v.ID)
	}
	return ids
}

func hasV2(ids []string) bool {
	for _, id := range ids {
		if id == "v2" || strings.HasPrefix(id, "v2.") {
			return true
		}
	}
	return false
}
