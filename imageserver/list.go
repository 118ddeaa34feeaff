package imageserver

import (
	"cmp"
	"net/http"
	"slices"
)

// list answers GET /v2/images: one page.
func (s *Server) list(w http.ResponseWriter, r *request) error {
	values := r.URL.Query()
	q, err := parseQuery(values)
	if err != nil {
		return err
	}
	page, err := s.index.page(q, r.caller)
	if err != nil {
		return err
	}
	images := make([]map[string]any, len(page))
	for i, rec := range page {
		images[i] = rec.view()
	}
	last := ""
	if len(page) > 0 {
		last = page[len(page)-1].ID
	}
	first, next := links(r.URL.RawQuery, values, last)
	document := map[string]any{"images": images, "first": "/v2/images", "schema": "/v2/schemas/images"}
	if first != "" {
		document["first"] = "/v2/images?" + first
	}
	if len(page) > 0 && len(page) == q.limit { // also when nothing follows
		document["next"] = "/v2/images?" + next
	}
	return answer(w, http.StatusOK, document)
}

// page returns the images that a query asks for, in its order, from behind its
// marker.
func (ix *index) page(q *query, c caller) ([]*record, error) {
	found, sorted, err := ix.find(q, c)
	if !sorted { // outside the lock: it takes long where there are many
		slices.SortFunc(found, q.compare)
	}
	return found[:min(len(found), q.limit)], err
}

// find collects a page or, where the index does not have the order, everything
// behind the marker.
func (ix *index) find(q *query, c caller) (found []*record, sorted bool, err error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	var marker *record
	if q.hasMarker {
		marker = ix.byID[q.marker]
		switch {
		case marker == nil:
			return nil, true, refuse(http.StatusBadRequest, "No image found with ID %s", q.marker)
		case !marker.visibleTo(c):
			return nil, true, refuse(http.StatusForbidden, "Forbidding request, image %s not visible", q.marker)
		}
	}
	if q.limit == 0 {
		return nil, true, nil
	}
	if q.filter.name == nil && q.byAge() {
		return ix.walk(q, c, marker), true, nil
	}
	candidates := ix.byAge
	if q.filter.name != nil {
		candidates = ix.byName[*q.filter.name]
	}
	for _, r := range candidates {
		if (marker == nil || q.compare(r, marker) > 0) && q.filter.matches(r, c, q.memberStatus, q.tags) {
			found = append(found, r)
		}
	}
	return found, false, nil
}

// byAge reports whether the query asks for an order that the index has.
func (q *query) byAge() bool {
	return len(q.sort) == 2 && q.sort[0].name == "created_at" && q.sort[1].name == "id" && q.sort[0].desc == q.sort[1].desc
}

// walk collects a page from the index's own order: it costs what it looks at,
// not what there is. ix.mu is held.
func (ix *index) walk(q *query, c caller, marker *record) []*record {
	desc := q.sort[0].desc
	at, step := 0, 1
	if desc {
		at, step = len(ix.byAge)-1, -1
	}
	if marker != nil {
		at, _ = slices.BinarySearchFunc(ix.byAge, marker, byAge)
		at += step
	}
	var found []*record
	for ; at >= 0 && at < len(ix.byAge) && len(found) < q.limit; at += step {
		if r := ix.byAge[at]; q.filter.matches(r, c, q.memberStatus, q.tags) {
			found = append(found, r)
		}
	}
	return found
}

// compare orders two images. Null counts as the empty text and as -1, so that a
// marker without a value has its place too.
func (q *query) compare(a, b *record) int {
	for _, key := range q.sort {
		c := compareBy(key.name, a, b)
		if key.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareBy(key string, a, b *record) int {
	switch key {
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	case "size":
		return cmp.Compare(orElse(a.Size, -1), orElse(b.Size, -1))
	default:
		return cmp.Compare(orElse(a.text(key), ""), orElse(b.text(key), ""))
	}
}

func orElse[T any](p *T, null T) T {
	if p == nil {
		return null
	}
	return *p
}
