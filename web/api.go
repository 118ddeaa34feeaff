package web

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// freshFor is for how long an answer is given again: however many look, and however often
// they ask, the daemon gathers it twice a second at most. Pages ask once a second.
const freshFor = 500 * time.Millisecond

// api answers with what gather returns, as JSON.
type api struct {
	gather func() any

	mu   sync.Mutex // guards the fields below; held while they are gathered, from memory and the local disk
	at   time.Time
	text []byte
	err  error
}

func newAPI(gather func() any) *api { return &api{gather: gather} }

func (a *api) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text, err := a.answer()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) // who asked may have gone
}

func (a *api) answer() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() || time.Since(a.at) >= freshFor {
		a.text, a.err = json.Marshal(a.gather())
		a.at = time.Now() // when it was gathered: that may take its time
	}
	return a.text, a.err
}
