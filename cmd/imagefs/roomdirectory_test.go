package main

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// What the lister asks the service for.
func TestLister(t *testing.T) {
	var mu sync.Mutex // guards the next
	var asked []url.Values
	endpoint := service(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if r.URL.Path == "/v2/images" {
				mu.Lock()
				asked = append(asked, q)
				mu.Unlock()
			}
			next.ServeHTTP(w, r)
		})
	})
	api, err := client.Dial(t.Context(), client.Options{Endpoint: endpoint, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	tagged := image.Filter{Tags: []string{"ready"}, Name: "a*"}
	hidden := tagged
	hidden.Hidden = true
	a, b, since := "a.raw", "b.raw", time.Unix(0, 0)
	for _, tc := range []struct {
		what   string
		filter image.Filter
		query  catalog.Query
		want   []string
	}{
		{"all", image.Filter{}, catalog.Query{}, []string{""}},
		{"all that is shown", tagged, catalog.Query{}, []string{"tag=ready"}},
		{"hidden, too", hidden, catalog.Query{}, []string{"tag=ready", "os_hidden=true&tag=ready"}},
		{"one name", tagged, catalog.Query{Name: &a}, []string{"name=eq%3Aa.raw&tag=ready"}},
		{"a name that is not shown", tagged, catalog.Query{Name: &b}, nil},
		{"changes: what has left the filter, too", tagged, catalog.Query{UpdatedSince: since}, []string{
			"updated_at=gte%3A1970-01-01T00%3A00%3A00Z", "os_hidden=true&updated_at=gte%3A1970-01-01T00%3A00%3A00Z",
		}},
	} {
		mu.Lock()
		asked = nil
		mu.Unlock()
		_, err := lister{api, tc.filter}.ListImages(t.Context(), tc.query, func([]image.Image) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		mu.Lock()
		for _, q := range asked {
			q.Del("limit")
			q.Del("sort")
			got = append(got, q.Encode())
		}
		mu.Unlock()
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.what, diff)
		}
	}
}
