package imageserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// problem is an answer that refuses: a status and the sentences of its body, in
// the forms that Glance gives them: HTML or JSON where the caller accepts it,
// else plain text.
type problem struct {
	status int
	text   string // explanation
	detail string // a second sentence, where Glance has one
	header http.Header
	close  bool // the connection ends after the answer
}

func (p *problem) Error() string {
	return fmt.Sprintf("%d %s", p.status, strings.TrimSpace(p.text+" "+p.detail))
}

// refuse is a problem with a formatted sentence.
func refuse(status int, format string, args ...any) *problem {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

// conflictDetail and forbiddenDetail are problems whose own sentence comes
// second, as webob writes it when Glance passes it as detail.
func conflictDetail(format string, args ...any) *problem {
	return &problem{status: http.StatusConflict, text: "There was a conflict when trying to complete your request.", detail: fmt.Sprintf(format, args...)}
}

func forbiddenDetail(format string, args ...any) *problem {
	return &problem{status: http.StatusForbidden, text: "Access was denied to this resource.", detail: fmt.Sprintf(format, args...)}
}

func noImage(id string) *problem {
	return refuse(http.StatusNotFound, "No image found with ID %s", id)
}

// unsupported refuses a media type; none counts as text.
func unsupported(kind string) *problem {
	return refuse(http.StatusUnsupportedMediaType, "The request media type %s is not supported by this server.", cmp.Or(kind, "text/plain"))
}

var (
	errNotFound     = &problem{status: http.StatusNotFound, text: "The resource could not be found."}
	errForeign      = &problem{status: http.StatusForbidden, text: "You do not own this image"}
	errUnauthorized = &problem{
		status: http.StatusUnauthorized,
		text:   "This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.",
		header: http.Header{"Www-Authenticate": {`Keystone uri="http://localhost/none"`}},
	}
)

// titles are the names of statuses where webob's differ from net/http's.
var titles = map[int]string{
	http.StatusRequestedRangeNotSatisfiable: "Request Range Not Satisfiable",
	http.StatusRequestEntityTooLarge:        "Request Entity Too Large",
}

func title(status int) string {
	if t := titles[status]; t != "" {
		return t
	}
	return http.StatusText(status)
}

// fail answers with err: a problem as it is, anything else as 500 with the
// cause in the log only.
func (s *Server) fail(w http.ResponseWriter, r *request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		s.log.Error("request failed, answered 500", "method", r.Method, "path", r.URL.Path, "request", r.id, "err", err)
		p = refuse(http.StatusInternalServerError, "The server has either erred or is incapable of performing the requested operation.")
	} else {
		s.log.Log(r.Context(), slog.LevelDebug, "request refused", "method", r.Method, "path", r.URL.Path, "request", r.id, "err", p)
	}
	h := w.Header()
	for k, v := range p.header {
		h[k] = v
	}
	if p.close {
		h.Set("Connection", "close")
	}
	body, kind := p.body(r.Header.Get("Accept"))
	h.Set("Content-Type", kind)
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		// The caller may be gone; there is nobody else to tell.
		_, _ = io.WriteString(w, body)
	}
}

// escapeHTML escapes as Python does.
var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")

// body returns the answer's text and its media type for an Accept header.
func (p *problem) body(accept string) (text, kind string) {
	name := title(p.status)
	switch {
	case strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*"):
		return fmt.Sprintf("<html>\n <head>\n  <title>%d %s</title>\n </head>\n <body>\n  <h1>%d %s</h1>\n  %s<br /><br />\n%s\n\n\n </body>\n</html>",
			p.status, name, p.status, name, escapeHTML.Replace(p.text), escapeHTML.Replace(p.detail)), "text/html; charset=UTF-8"
	case strings.Contains(accept, "application/json"):
		out, err := marshal(map[string]string{
			"message": p.text + "<br /><br />\n" + p.detail + "\n\n",
			"code":    fmt.Sprintf("%d %s", p.status, name),
			"title":   name,
		})
		if err != nil { // a map of strings always marshals
			panic(err)
		}
		return string(out), "application/json"
	default:
		return fmt.Sprintf("%d %s\n\n%s\n\n%s   ", p.status, name, p.text, p.detail), "text/plain; charset=UTF-8"
	}
}

// hasRole reports whether a comma separated X-Roles header names the role.
func hasRole(header, role string) bool {
	for name := range strings.SplitSeq(header, ",") {
		if strings.EqualFold(strings.TrimSpace(name), role) {
			return true
		}
	}
	return false
}
