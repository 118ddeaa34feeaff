package imageserver

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultLimit = 25   // images of a page that names no limit
	maxLimit     = 1000 // images of any page; more is cut silently
)

// sortKey is one key of an order.
type sortKey struct {
	name string
	desc bool
}

// query is what a list request asks for.
type query struct {
	limit        int
	marker       string // "" when there is none
	hasMarker    bool
	memberStatus string
	tags         []string // an image must have all
	sort         []sortKey
	filter       filter
}

var sortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// parseQuery reads the parameters of a list request. Of a parameter that is
// given several times the last counts, except tag, sort_key and sort_dir.
func parseQuery(values url.Values) (*query, error) {
	q := &query{limit: defaultLimit, memberStatus: "accepted"}
	rest := map[string]string{}
	for name, all := range values {
		last := all[len(all)-1]
		switch name {
		case "limit":
			n, err := strconv.Atoi(strings.TrimSpace(last))
			if err != nil {
				return nil, refuse(http.StatusBadRequest, "limit param must be an integer")
			}
			if n < 0 {
				return nil, refuse(http.StatusBadRequest, "limit param must be positive")
			}
			q.limit = min(n, maxLimit)
		case "marker":
			q.marker, q.hasMarker = last, true
		case "member_status":
			if !slices.Contains([]string{"pending", "accepted", "rejected", "all"}, last) {
				return nil, refuse(http.StatusBadRequest, "Invalid status: %s", last)
			}
			q.memberStatus = last
		case "tag":
			for _, tag := range all {
				q.tags = append(q.tags, strings.TrimSpace(tag))
			}
		case "sort", "sort_key", "sort_dir":
		default:
			rest[name] = last
		}
	}
	var err error
	if q.sort, err = parseSort(values); err != nil {
		return nil, err
	}
	q.filter, err = parseFilter(rest)
	return q, err
}

// parseSort reads either of the two ways to name an order. created_at and id
// come last in every order, so that it is total.
func parseSort(values url.Values) ([]sortKey, error) {
	var keys []sortKey
	names, dirs := values["sort_key"], values["sort_dir"]
	if sort, found := values["sort"]; found {
		if len(names) > 0 || len(dirs) > 0 {
			return nil, refuse(http.StatusBadRequest, "Old and new sorting syntax cannot be combined")
		}
		names, dirs = nil, nil
		for item := range strings.SplitSeq(strings.TrimSpace(sort[len(sort)-1]), ",") {
			name, dir, _ := strings.Cut(item, ":")
			if dir == "" {
				dir = "desc"
			}
			names, dirs = append(names, name), append(dirs, dir)
		}
	}
	if len(dirs) > 1 && len(dirs) != len(names) {
		return nil, refuse(http.StatusBadRequest, "Number of sort dirs does not match the number of sort keys")
	}
	dir := "desc"
	for i, d := range dirs {
		dirs[i] = strings.TrimSpace(d)
		if dirs[i] != "asc" && dirs[i] != "desc" {
			return nil, refuse(http.StatusBadRequest, "Invalid sort direction: %s", d)
		}
	}
	if len(dirs) == 1 {
		dir = dirs[0]
	}
	for i, name := range names {
		name = strings.TrimSpace(name)
		if !slices.Contains(sortKeys, name) {
			return nil, refuse(http.StatusBadRequest, "Invalid sort key: %s. It must be one of the following: %s.", name, strings.Join(sortKeys, ", "))
		}
		d := dir
		if len(dirs) > 1 {
			d = dirs[i]
		}
		keys = append(keys, sortKey{name, d == "desc"})
	}
	for _, last := range []string{"created_at", "id"} {
		if !slices.ContainsFunc(keys, func(k sortKey) bool { return k.name == last }) {
			keys = append(keys, sortKey{last, dir == "desc"})
		}
	}
	return keys, nil
}

// links returns the query strings of the first page and of the page after an
// image: the request's parameters in their order, the last value of each,
// without the marker.
func links(raw string, values url.Values, after string) (first, next string) {
	var kept []string
	done := map[string]bool{"marker": true}
	for pair := range strings.SplitSeq(raw, "&") {
		escaped, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escaped)
		all := values[name]
		if err != nil || len(all) == 0 || done[name] {
			continue // what values has not did not count either
		}
		done[name] = true
		kept = append(kept, url.QueryEscape(name)+"="+url.QueryEscape(all[len(all)-1]))
	}
	first = strings.Join(kept, "&")
	return first, strings.Join(append(kept, "marker="+after), "&")
}
