package imageserver

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// The two media types of a patch: drafts 4 and 10 of JSON patch.
const (
	patchV20 = "application/openstack-images-v2.0-json-patch"
	patchV21 = "application/openstack-images-v2.1-json-patch"
)

// change is one operation of a patch on a whole attribute or property.
type change struct {
	op    string // add, remove or replace
	path  []string
	value any  // nil also when it is null
	v20   bool // add of what is there is refused
}

// patch answers PATCH: all operations or none.
func (s *Server) patch(w http.ResponseWriter, r *request, id string) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != patchV20 && kind != patchV21 {
		p := unsupported(kind)
		p.header = http.Header{"Accept-Patch": {patchV20 + ", " + patchV21}}
		return p
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	changes, err := parseChanges(body, kind == patchV20)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return s.show(w, r, id)
	}
	rec, err := s.change(r, id, func(rec *record) error { return rec.apply(changes, r.caller) })
	if err != nil {
		return err
	}
	s.log.Info("image updated", "image", id, "request", r.id)
	return answer(w, http.StatusOK, rec.view())
}

// parseChanges checks the form of a patch, and that its values could be set on
// some image.
func parseChanges(body any, v20 bool) ([]change, error) {
	list, ok := body.([]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Request body must be a JSON array of operation objects.")
	}
	changes := make([]change, 0, len(list))
	for _, item := range list {
		raw, ok := item.(map[string]any)
		if !ok {
			return nil, refuse(http.StatusBadRequest, "Operations must be JSON objects.")
		}
		c, err := parseChange(raw, v20)
		if err != nil {
			return nil, err
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

var operations = []string{"add", "remove", "replace"}

func parseChange(raw map[string]any, v20 bool) (change, error) {
	c := change{v20: v20}
	pointer, err := c.operation(raw)
	if err != nil {
		return c, err
	}
	if c.path, err = parsePointer(pointer); err != nil {
		return c, err
	}
	depth := 1
	if c.path[0] == "locations" && c.op != "replace" {
		depth = 2
	}
	if len(c.path) != depth {
		return c, refuse(http.StatusBadRequest, "Invalid JSON pointer for this resource: '/%s'", strings.Join(c.path, "/"))
	}
	value, found := raw["value"]
	if !found && c.op != "remove" {
		return c, refuse(http.StatusBadRequest, `Operation "%s" requires a member named "value".`, c.op)
	}
	c.value = value
	return c, nil
}

// operation finds what is done and where, in the words of either draft.
func (c *change) operation(raw map[string]any) (pointer string, err error) {
	available := strings.Join(operations, ", ")
	var path any
	if c.v20 {
		for _, op := range operations {
			if value, found := raw[op]; found {
				if c.op != "" {
					return "", refuse(http.StatusBadRequest, `Operation objects must contain only one member named "add", "remove", or "replace".`)
				}
				c.op, path = op, value
			}
		}
		if c.op == "" {
			return "", refuse(http.StatusBadRequest, `Operation objects must contain exactly one member named "add", "remove", or "replace".`)
		}
	} else {
		op, found := raw["op"]
		if !found || op == nil {
			return "", refuse(http.StatusBadRequest, "Unable to find `op` in JSON Schema change. It must be one of the following: %s.", available)
		}
		name, ok := op.(string)
		if !ok || !slices.Contains(operations, name) {
			return "", refuse(http.StatusBadRequest, "Invalid operation: `%v`. It must be one of the following: %s.", op, available)
		}
		c.op = name
		if path, found = raw["path"]; !found {
			return "", refuse(http.StatusBadRequest, "Unable to find 'path' in JSON Schema change")
		}
	}
	pointer, ok := path.(string)
	if !ok { // the real one ends with 500
		return "", refuse(http.StatusBadRequest, "The path of an operation must be a string.")
	}
	return pointer, nil
}

// parsePointer splits a JSON pointer; ~1 and ~0 are unescaped.
func parsePointer(pointer string) ([]string, error) {
	switch {
	case !strings.HasPrefix(pointer, "/"):
		return nil, refuse(http.StatusBadRequest, "Pointer `%s` does not start with \"/\".", pointer)
	case adjacentSlashes(pointer[1:]):
		return nil, refuse(http.StatusBadRequest, "Pointer `%s` contains adjacent \"/\".", pointer)
	case len(pointer) > 1 && strings.HasSuffix(pointer, "/"):
		return nil, refuse(http.StatusBadRequest, "Pointer `%s` end with \"/\".", pointer)
	case badEscape(pointer):
		return nil, refuse(http.StatusBadRequest, "Pointer `%s` contains \"~\" not part of a recognized escape sequence.", pointer)
	}
	parts := strings.Split(strings.TrimLeft(pointer, "/"), "/")
	for i, part := range parts {
		part = strings.ReplaceAll(part, "~1", "/")
		parts[i] = strings.TrimSpace(strings.ReplaceAll(part, "~0", "~"))
	}
	return parts, nil
}

// adjacentSlashes reports two slashes with nothing but space between them.
func adjacentSlashes(text string) bool {
	parts := strings.Split(text, "/")
	for i := 1; i < len(parts)-1; i++ {
		if strings.TrimSpace(parts[i]) == "" {
			return true
		}
	}
	return false
}

func badEscape(pointer string) bool {
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || pointer[i+1] != '0' && pointer[i+1] != '1') {
			return true
		}
	}
	return false
}

// check refuses what no image allows: attributes of the service's own and values
// against the schema.
func (c *change) check() error {
	root := c.path[0]
	switch {
	case slices.Contains(readOnly, root):
		return refuse(http.StatusForbidden, "Attribute '%s' is read-only.", root)
	case slices.Contains(reserved, root) || strings.HasPrefix(root, reservedPrefix):
		return refuse(http.StatusForbidden, "Attribute '%s' is reserved.", root)
	case c.op == "remove" || root == "locations":
		return nil
	}
	var scratch record
	return scratch.set(root, c.value)
}

// apply carries out a checked patch on a record that nobody else has yet.
func (r *record) apply(changes []change, by caller) error {
	before := r.Properties
	r.Properties = make(map[string]*string, len(before))
	for name, value := range before {
		r.Properties[name] = value
	}
	for _, c := range changes {
		if err := r.applyOne(c, by); err != nil {
			return err
		}
	}
	if err := mayPublish(r, by); err != nil {
		return err
	}
	added := false
	for name := range r.Properties {
		if _, had := before[name]; !had {
			added = true
		}
	}
	return checkQuota(r, added)
}

func (r *record) applyOne(c change, by caller) error {
	root := c.path[0]
	if root == "locations" {
		return refuse(http.StatusForbidden, "It's not allowed to %s locations if locations are invisible.", c.op)
	}
	_, present := r.Properties[root]
	attribute := slices.Contains(settable, root)
	switch {
	case c.op == "remove" && attribute:
		return forbiddenDetail("Property %s may not be removed.", root)
	case c.op != "add" && !attribute && !present:
		return conflictDetail("Property %s does not exist.", root)
	case c.op == "remove":
		delete(r.Properties, root)
		return nil
	case c.op == "add" && c.v20 && (attribute || present):
		return conflictDetail("Property %s already present.", root)
	case root == "owner" && !by.admin:
		return forbiddenDetail("Owner can't be updated by non admin.")
	case (root == "disk_format" || root == "container_format") && r.Status != image.StatusQueued && r.Status != image.StatusImporting:
		return refuse(http.StatusForbidden, "Attribute %s can be only replaced for a queued image.", root)
	}
	return r.set(root, c.value)
}
