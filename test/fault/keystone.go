package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// IdentityPath is where a Keystone has its API, version and all.
const IdentityPath = "/identity/v3"

// tokenLife is what Keystone's tokens live by default.
const tokenLife = time.Hour

// Keystone stands before an Image service: it has tokens, and lets nobody to the service
// without one. It knows one user, whose password is anything, and one project.
type Keystone struct {
	service http.Handler
	project string

	mu       sync.Mutex // guards the fields below
	endpoint string
	valid    []string
	issued   []string
	skew     time.Duration
}

// NewKeystone stands before the service, as the project.
func NewKeystone(service http.Handler, project string) *Keystone {
	return &Keystone{service: service, project: project}
}

// Catalog says which URL of the Image service the tokens name.
func (k *Keystone) Catalog(endpoint string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.endpoint = endpoint
}

// Skew lets the times in tokens be off by so much.
func (k *Keystone) Skew(by time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.skew = by
}

// Expire ends all tokens.
func (k *Keystone) Expire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.valid = nil
}

// Issued are all tokens that there have been.
func (k *Keystone) Issued() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.issued)
}

// ServeHTTP answers as Keystone or as the service.
func (k *Keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == IdentityPath+"/auth/tokens":
		k.issue(w)
	case strings.HasPrefix(r.URL.Path, IdentityPath):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"version": {"id": "v3.14", "status": "stable"}}`)
	case r.URL.Path != "/" && !k.knows(r.Header.Get("X-Auth-Token")):
		w.Header().Set("X-Openstack-Request-Id", "req-unauthorized")
		http.Error(w, "This server could not verify that you are authorized to access the document you requested.", http.StatusUnauthorized)
	default:
		k.service.ServeHTTP(w, r)
	}
}

func (k *Keystone) knows(token string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.valid, token)
}

// issue makes a token, as far as anybody looks at it.
func (k *Keystone) issue(w http.ResponseWriter) {
	token := "secret-" + uuid.NewString()
	k.mu.Lock()
	k.valid, k.issued = append(k.valid, token), append(k.issued, token)
	now, endpoint := time.Now().Add(k.skew).UTC(), k.endpoint
	k.mu.Unlock()
	const stamp = "2006-01-02T15:04:05.000000Z"
	w.Header().Set("X-Subject-Token", token)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	err := json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
		"issued_at": now.Format(stamp), "expires_at": now.Add(tokenLife).Format(stamp), "methods": []string{"password"},
		"user":    map[string]any{"id": "user", "name": "user", "domain": map[string]any{"id": "default", "name": "Default"}},
		"project": map[string]any{"id": k.project, "name": k.project, "domain": map[string]any{"id": "default", "name": "Default"}},
		"catalog": []any{map[string]any{"type": "image", "name": "glance", "id": "image", "endpoints": []any{
			map[string]any{"id": "public", "interface": "public", "region": "here", "region_id": "here", "url": endpoint},
		}}},
	}})
	if err != nil {
		panic(http.ErrAbortHandler) // its client has gone
	}
}
