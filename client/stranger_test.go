package client

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// A 404 of a proxy, whose way to the service is being changed, does not say that an
// image is gone; that of a service without request ids does.
func TestNotFoundOfAProxy(t *testing.T) {
	for _, c := range []struct {
		named, proxy bool
		want         image.Kind
	}{
		{true, false, image.NotFound}, {true, true, image.Unavailable}, {false, false, image.NotFound},
	} {
		var lost atomic.Bool
		url := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
			if c.named && (!lost.Load() || !c.proxy) {
				w.Header().Set(headerRequestID, "req-1")
			}
			switch {
			case lost.Load():
				w.WriteHeader(http.StatusNotFound)
			case r.URL.Path == "/":
				w.WriteHeader(http.StatusMultipleChoices)
				_, _ = w.Write([]byte(`{"versions": [{"id": "v2.9", "status": "CURRENT"}]}`))
			default:
				_, _ = w.Write([]byte(`{"images": []}`))
			}
		})
		cl, err := Dial(t.Context(), Options{Endpoint: url})
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		lost.Store(true)
		_, err = cl.Get(t.Context(), someID)
		if !image.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		if err := cl.Delete(t.Context(), someID); !image.Is(err, c.want) {
			t.Errorf("%+v: delete: %v", c, err)
		}
	}
}
