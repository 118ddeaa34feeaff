package imageserver

import (
	"net/http"
	"slices"
	"strings"
)

// handler is what a route leads to. open ones are answered without a token.
type handler struct {
	open  bool
	serve func(*Server, http.ResponseWriter, *request) error
}

// methods maps the methods that a resource knows to their handlers.
type methods map[string]func(*Server, http.ResponseWriter, *request) error

// maxPath is the most bytes of a path: an id, a tag of 255 characters of four
// bytes each and the words between them need about 1100.
const maxPath = 4 << 10

// route finds the handler of a request. Unknown paths outside /v2 answer the
// versions document, as Glance's version negotiation does.
func route(r *http.Request) (handler, error) {
	if len(r.URL.Path) > maxPath {
		return handler{}, refuse(http.StatusRequestURITooLong, "The path is too long.")
	}
	// An escaped slash separates too, as in Glance: ids have none, and a tag with
	// one cannot be named in a path.
	seg := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case seg[0] == "healthcheck" && len(seg) == 1:
		return handler{open: true, serve: healthcheck}, nil
	case seg[0] == "versions" && len(seg) == 1:
		return handler{open: true, serve: versions(http.StatusOK)}, nil
	case seg[0] != "v2":
		return handler{open: true, serve: versions(http.StatusMultipleChoices)}, nil
	}
	if r.Method == http.MethodOptions {
		return handler{open: true, serve: empty(http.StatusOK)}, nil
	}
	if len(seg) == 1 {
		return handler{serve: toSlash}, nil
	}
	var known methods
	if !slices.Contains(seg, "") {
		known = resource(seg[1:])
	}
	if known == nil {
		return handler{serve: func(*Server, http.ResponseWriter, *request) error { return errNotFound }}, nil
	}
	serve := known[r.Method]
	if serve == nil {
		return handler{serve: notAllowed(known)}, nil
	}
	return handler{serve: serve}, nil
}

// resource returns the methods of the resource at a path below /v2, nil when
// there is none.
func resource(seg []string) methods {
	if len(seg) == 0 {
		return nil
	}
	switch seg[0] {
	case "images":
		return imageResource(seg[1:])
	case "schemas":
		if len(seg) == 2 && schemas[seg[1]] != "" {
			return methods{http.MethodGet: schemaDocument(schemas[seg[1]])}
		}
	case "info":
		if len(seg) == 2 {
			return infoResource(seg[1])
		}
	}
	return nil
}

func imageResource(seg []string) methods {
	switch {
	case len(seg) == 0:
		return methods{http.MethodGet: (*Server).list, http.MethodPost: (*Server).create}
	case len(seg) == 1:
		return methods{
			http.MethodGet:    onImage((*Server).show, seg[0]),
			http.MethodPatch:  onImage((*Server).patch, seg[0]),
			http.MethodDelete: onImage((*Server).remove, seg[0]),
		}
	case len(seg) == 2 && seg[1] == "file":
		return methods{http.MethodGet: onImage((*Server).download, seg[0]), http.MethodPut: onImage((*Server).upload, seg[0])}
	case len(seg) == 2 && seg[1] == "stage":
		return methods{http.MethodPut: onImage((*Server).stage, seg[0])}
	case len(seg) == 2 && seg[1] == "import":
		return methods{http.MethodPost: onImage((*Server).importStaged, seg[0])}
	case len(seg) == 2 && seg[1] == "members":
		return methods{http.MethodGet: onImage((*Server).listMembers, seg[0]), http.MethodPost: onImage((*Server).addMember, seg[0])}
	case len(seg) == 3 && seg[1] == "members":
		return methods{
			http.MethodGet:    onPart((*Server).showMember, seg[0], seg[2]),
			http.MethodPut:    onPart((*Server).updateMember, seg[0], seg[2]),
			http.MethodDelete: onPart((*Server).removeMember, seg[0], seg[2]),
		}
	case len(seg) == 3 && seg[1] == "tags":
		return methods{http.MethodPut: onPart((*Server).addTag, seg[0], seg[2]), http.MethodDelete: onPart((*Server).removeTag, seg[0], seg[2])}
	case len(seg) == 3 && seg[1] == "actions" && seg[2] == "deactivate":
		return methods{http.MethodPost: onImage((*Server).deactivate, seg[0])}
	case len(seg) == 3 && seg[1] == "actions" && seg[2] == "reactivate":
		return methods{http.MethodPost: onImage((*Server).reactivate, seg[0])}
	}
	return nil
}

func onImage(serve func(*Server, http.ResponseWriter, *request, string) error, id string) func(*Server, http.ResponseWriter, *request) error {
	return func(s *Server, w http.ResponseWriter, r *request) error { return serve(s, w, r, id) }
}

func onPart(serve func(*Server, http.ResponseWriter, *request, string, string) error, id, part string) func(*Server, http.ResponseWriter, *request) error {
	return func(s *Server, w http.ResponseWriter, r *request) error { return serve(s, w, r, id, part) }
}

// notAllowed answers 405 and says which methods there are. HEAD is among the
// refused ones everywhere.
func notAllowed(known methods) func(*Server, http.ResponseWriter, *request) error {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		if known[m] != nil {
			allow = append(allow, m)
		}
	}
	return func(_ *Server, _ http.ResponseWriter, r *request) error {
		p := refuse(http.StatusMethodNotAllowed, "The method %s is not allowed for this resource.", r.Method)
		p.header = http.Header{"Allow": {strings.Join(allow, ", ")}}
		return p
	}
}

// toSlash sends /v2 to /v2/, where there is nothing either: as the real one.
func toSlash(_ *Server, w http.ResponseWriter, r *request) error {
	w.Header().Set("Location", hostURL(r)+"/v2/")
	w.WriteHeader(http.StatusFound)
	return nil
}

func empty(status int) func(*Server, http.ResponseWriter, *request) error {
	return func(_ *Server, w http.ResponseWriter, _ *request) error {
		w.WriteHeader(status)
		return nil
	}
}
