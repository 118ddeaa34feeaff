package faults

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/imagefs/imagefs/test/fault"
)

// store is one of two that an importer has.
const store = "fast"

// slowImport is how many looks at its record an import takes where the tasks at it are asked
// for: they are with the fifth look and with each later one.
const slowImport = 6

// importer is a service that takes data by import alone, as some do by policy. It has
// several stores, and tells of the tasks at an image.
type importer struct {
	http.Handler
	takes int // looks at its record that an import takes

	mu    sync.Mutex     // guards the field below
	looks map[string]int // that imports still take, by the path of their image
}

// ServeHTTP answers what the server behind it does not, or not so.
func (i *importer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch fault.KindOf(r) {
	case fault.Upload:
		http.Error(w, "Data is imported here.", http.StatusForbidden)
	case fault.Stores:
		answerJSON(w, `{"stores": [{"id": "slow", "default": "true"}, {"id": "`+store+`"}]}`)
	case fault.Tasks:
		answerJSON(w, `{"tasks": [{"type": "api_image_import", "status": "processing", "message": "", "updated_at": "2026-01-01T00:00:00Z"}]}`)
	case fault.Import:
		i.mu.Lock()
		i.looks[strings.TrimSuffix(r.URL.Path, "/import")] = i.takes
		i.mu.Unlock()
		i.Handler.ServeHTTP(w, r)
	case fault.Get:
		i.mu.Lock()
		left := i.looks[r.URL.Path]
		i.looks[r.URL.Path] = max(0, left-1)
		i.mu.Unlock()
		if left == 0 {
			i.Handler.ServeHTTP(w, r)
			return
		}
		got := httptest.NewRecorder()
		i.Handler.ServeHTTP(got, r)
		maps.Copy(w.Header(), got.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(got.Code)
		_, _ = w.Write(bytes.Replace(got.Body.Bytes(), []byte(`"status":"active"`), []byte(`"status":"importing"`), 1)) // as answerJSON
	default:
		i.Handler.ServeHTTP(w, r)
	}
}

func answerJSON(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text) // who has gone needs no answer
}

// closesImported is closes where the mount knows already that data is to be imported.
func closesImported(ctx context.Context, w *world) (*attempt, error) {
	if err := os.WriteFile(w.path(w.name("imported")), []byte("imported"), 0o644); err != nil {
		return nil, err
	}
	return closes(ctx, w)
}
