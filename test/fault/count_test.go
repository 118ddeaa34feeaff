package fault

import (
	"net/http"
	"testing"
)

// The first byte alone is no stream of data, whatever it is asked for beside.
func TestMostCountsNoQuestion(t *testing.T) {
	for asked, most := range map[string]int{"bytes=0-0": 0, "bytes=0-1": 1} {
		p := newProxy(t)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+rights+"/file", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", asked)
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if n := p.Counts()[Span]; n.Seen != 1 || n.Most != most {
			t.Errorf("%s: %+v", asked, n)
		}
	}
}
