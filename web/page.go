package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
)

//go:embed page
var pageFiles embed.FS

// pageFile is one of the files that the page consists of.
func pageFile(name string) string {
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil { // it would not have been built
		panic(err)
	}
	return string(text)
}

// newPage puts the page together: one answer, that needs nothing but the two of /api. Its
// policy lets the browser run and show what is in it, and nothing that a name or an error
// could bring in.
func newPage() http.Handler {
	style, script := pageFile("page.css"), ""
	for _, name := range []string{"units.js", "plot.js", "blocks.js", "transfers.js", "page.js"} {
		script += pageFile(name)
	}
	text := strings.NewReplacer("/*style*/", style, "/*script*/", script).Replace(pageFile("page.html"))
	policy := strings.Join([]string{
		"default-src 'none'", "style-src " + hashOf(style), "script-src " + hashOf(script),
		"connect-src 'self'", "img-src data:", // the empty icon
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store") // the next daemon's may ask for other keys
		_, _ = io.WriteString(w, text)     // who asked may have gone
	})
}

// hashOf is how a policy names an inline style or script.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
