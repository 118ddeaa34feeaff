package fault

import (
	"net/http"
	"strings"
)

// Kind is what a request asks for.
type Kind int

// The kinds of request that imagefs makes. Any is what rules about all of them name.
const (
	Any      Kind = iota
	Versions      // the list of the API's versions
	Probe         // the listing of one image, by which a mount begins
	List          // a page of the whole listing
	Delta         // a page of what was changed
	Lookup        // the images of one name
	Get           // one record
	Span          // a part of an image's bytes
	Whole         // all of them
	Create        // a record
	Upload        // bytes of an image
	Update        // of a record
	Delete        // an image
	Members       // of a shared image: list, add, remove
	Usage         // of the quota
	Token         // Keystone's
	Stores        // that an upload may choose between
	Methods       // by which data may be imported
	Stage         // bytes of an image that is imported
	Import        // of what was staged
	Tasks         // that are at work on an image
	Other         // nothing that imagefs asks for
)

var kindNames = [...]string{
	"any", "versions", "probe", "list", "delta", "lookup", "get", "span", "whole", "create", "upload",
	"update", "delete", "members", "usage", "token", "stores", "methods", "stage", "import", "tasks", "other",
}

// String names the kind in one word.
func (k Kind) String() string { return kindNames[k] }

// KindOf tells the kinds apart.
func KindOf(r *http.Request) Kind {
	path := strings.TrimSuffix(r.URL.Path, "/")
	_, below, images := strings.Cut(path, "/v2/images")
	parts := strings.Split(strings.TrimPrefix(below, "/"), "/") // the id, and what of it
	switch {
	case path == "":
		return Versions
	case strings.HasSuffix(path, "/auth/tokens"):
		return Token
	case strings.HasSuffix(path, "/v2/info/usage"):
		return Usage
	case strings.HasSuffix(path, "/v2/info/stores"):
		return Stores
	case strings.HasSuffix(path, "/v2/info/import"):
		return Methods
	case !images:
		return Other
	case below == "":
		return kindOfListing(r)
	case len(parts) == 1:
		return map[string]Kind{http.MethodGet: Get, http.MethodPatch: Update, http.MethodDelete: Delete}[r.Method]
	case parts[1] == "members":
		return Members
	case parts[1] == "stage":
		return Stage
	case parts[1] == "import":
		return Import
	case parts[1] == "tasks":
		return Tasks
	case parts[1] == "file" && r.Method == http.MethodPut:
		return Upload
	case parts[1] == "file" && r.Header.Get("Range") != "":
		return Span
	case parts[1] == "file":
		return Whole
	}
	return Other
}

func kindOfListing(r *http.Request) Kind {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost:
		return Create
	case q.Has("name"):
		return Lookup
	case q.Has("updated_at"):
		return Delta
	case q.Get("limit") == "1":
		return Probe
	}
	return List
}

// answersJSON reports whether the answer to a request of the kind has fields.
func (k Kind) answersJSON() bool {
	switch k {
	case Span, Whole, Upload, Stage, Import, Delete, Other:
		return false
	}
	return true
}

// takesData reports whether the request has bytes of an image.
func (k Kind) takesData() bool { return k == Upload || k == Stage }

// answersData reports whether the answer has bytes of an image.
func (k Kind) answersData() bool { return k == Span || k == Whole }
