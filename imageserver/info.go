package imageserver

import (
	_ "embed"
	"io"
	"net/http"
	"strings"
)

// The schema documents, as Glance 25.1 serves them.
var (
	//go:embed schemas/image.json
	schemaImage string
	//go:embed schemas/images.json
	schemaImages string
	//go:embed schemas/member.json
	schemaMember string
	//go:embed schemas/members.json
	schemaMembers string
)

var schemas = map[string]string{"image": schemaImage, "images": schemaImages, "member": schemaMember, "members": schemaMembers}

// versionIDs are the minor versions of Glance 25.1 with one store, newest first.
var versionIDs = []string{"v2.16", "v2.15", "v2.14", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"}

type versionLink struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type version struct {
	ID     string        `json:"id"`
	Status string        `json:"status"`
	Links  []versionLink `json:"links"`
}

// versions answers the versions document; its links name the host that the
// caller used.
func versions(status int) func(*Server, http.ResponseWriter, *request) error {
	return func(_ *Server, w http.ResponseWriter, r *request) error {
		list := make([]version, 0, len(versionIDs))
		for i, id := range versionIDs {
			state := "SUPPORTED"
			if i == 0 {
				state = "CURRENT"
			}
			list = append(list, version{ID: id, Status: state, Links: []versionLink{{Rel: "self", Href: hostURL(r) + "/v2/"}}})
		}
		return answer(w, status, map[string]any{"versions": list})
	}
}

func healthcheck(_ *Server, w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, err := io.WriteString(w, "OK")
	return gone(err)
}

func schemaDocument(text string) func(*Server, http.ResponseWriter, *request) error {
	return func(_ *Server, w http.ResponseWriter, _ *request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, text)
		return gone(err)
	}
}

func infoResource(name string) methods {
	switch name {
	case "import":
		return methods{http.MethodGet: infoImport}
	case "stores":
		return methods{http.MethodGet: func(*Server, http.ResponseWriter, *request) error {
			return refuse(http.StatusNotFound, "Multi backend is not supported at this site.")
		}}
	case "usage":
		return methods{http.MethodGet: infoUsage}
	}
	return nil
}

// importMethods are the ways to import that this server has.
var importMethods = []string{"glance-direct"}

func infoImport(_ *Server, w http.ResponseWriter, _ *request) error {
	return answer(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": importMethods,
	}})
}

// mebibyte is the unit of sizes in /v2/info/usage.
const mebibyte = 1 << 20

type usage struct {
	Usage int64 `json:"usage"`
	Limit int64 `json:"limit"`
}

// infoUsage tells the caller's use of its quota; without one there is nothing
// to tell, as on a Glance without limits.
func infoUsage(s *Server, w http.ResponseWriter, r *request) error {
	all := map[string]usage{}
	if s.opt.Quota > 0 {
		u := s.index.usage(r.caller.project)
		all["image_size_total"] = usage{Usage: (u.bytes + mebibyte - 1) / mebibyte, Limit: s.opt.Quota / mebibyte}
		all["image_stage_total"] = usage{Usage: 0, Limit: -1}
		all["image_count_total"] = usage{Usage: u.images, Limit: -1}
		all["image_count_uploading"] = usage{Usage: u.uploading, Limit: -1}
	}
	return answer(w, http.StatusOK, map[string]any{"usage": all})
}

func importHeader() string { return strings.Join(importMethods, ",") }

// gone handles an error of writing an answer whose status is already out: the
// caller went away, and only ending the connection tells it that the answer is
// not whole.
func gone(err error) error {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
