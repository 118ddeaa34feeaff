package web

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// mostSeconds bounds the time that somebody may have a profile or a trace gathered for: it
// holds one of the places, and a trace grows all the while.
const mostSeconds = 300

// addProfiles serves /debug/pprof.
func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", bounded(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", bounded(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", bounded(pprof.Trace))
}

func bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// What is no number is pprof's to answer; NaN is refused, too.
		if asked, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && !(asked <= mostSeconds) {
			http.Error(w, fmt.Sprintf("%d seconds at most", mostSeconds), http.StatusBadRequest)
			return
		}
		next(w, r)
	}
}
