package faults

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/imagefs/imagefs/test/fault"
)

// store is one of two that an importer has.
const store = "fast"

// slowImport is how long an import takes where the tasks at it are asked for: more than the
// two seconds in which only its record is looked at.
const slowImport = 2500 * time.Millisecond

// importer is a service that takes data by import alone, as some do by policy. It has
// several stores, and tells of the tasks at an image.
type importer struct {
	http.Handler
	takes time.Duration // an import, as far as its record tells

	mu      sync.Mutex           // guards the field below
	ordered map[string]time.Time // when imports were, by the path of the image
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
		i.ordered[r.URL.Path] = time.Now()
		i.mu.Unlock()
		i.Handler.ServeHTTP(w, r)
	case fault.Get:
		i.mu.Lock()
		ordered, ok := i.ordered[r.URL.Path+"/import"]
		i.mu.Unlock()
		if !ok || time.Since(ordered) > i.takes {
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
