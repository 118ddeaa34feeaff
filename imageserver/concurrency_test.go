package imageserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gate is a body that stops in its middle until it is opened.
type gate struct {
	first, rest io.Reader
	reached     chan struct{}
	open        chan struct{}
	once        sync.Once
}

func newGate(first, rest string) *gate {
	return &gate{first: strings.NewReader(first), rest: strings.NewReader(rest), reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Read(p []byte) (int, error) {
	if n, err := g.first.Read(p); err == nil {
		return n, nil
	}
	g.once.Do(func() { close(g.reached) })
	<-g.open
	return g.rest.Read(p)
}

func TestDeleteDuringPut(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	body := newGate("first", "rest")
	answer := make(chan reply, 1)
	go func() {
		p, err := r.try("PUT", "/v2/images/"+id+"/file", body, octetStream)
		if err != nil {
			t.Error(err)
		}
		answer <- p
	}()
	<-body.reached
	r.eventually(t, id, "saving")
	r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+id, "")
	close(body.open)
	if p := <-answer; p.status != http.StatusGone {
		t.Errorf("PUT: %d %s", p.status, p.body)
	}
	r.want(t, http.StatusNotFound, "GET", "/v2/images/"+id, "")
	for _, sub := range []string{dirData, dirPartial, dirRecords} {
		if got := files(t, r.opt.Dir, sub); len(got) != 0 {
			t.Errorf("%s: %q", sub, got)
		}
	}
}

func TestDeleteDuringGet(t *testing.T) {
	r := open(t, Options{})
	data := strings.Repeat("0123456789abcdef", 2<<20) // more than the sockets hold
	id := r.newActive(t, data)
	resp, err := http.Get(r.url + "/v2/images/" + id + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+id, "")
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != data[16:] {
		t.Errorf("%d bytes after the deletion, want %d; %v", len(rest), len(data)-16, err)
	}
	r.want(t, http.StatusNotFound, "GET", "/v2/images/"+id+"/file", "")
}

// TestOnePutWins uploads into one image many times at once.
func TestOnePutWins(t *testing.T) {
	r := open(t, Options{NoSync: true})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i)}, 100_000)
			p, err := r.try("PUT", "/v2/images/"+id+"/file", bytes.NewReader(body), octetStream)
			switch {
			case err != nil:
				t.Error(err)
			case p.status == http.StatusNoContent:
				won.Add(1)
			case p.status != http.StatusConflict:
				t.Errorf("status %d", p.status)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d uploads won", won.Load())
	}
	got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id+"/file", "").body
	if !bytes.Equal(got, bytes.Repeat(got[:1], 100_000)) {
		t.Error("bytes of two uploads")
	}
}

// TestParallelChanges lets everything happen to a few images at once; each
// patch that was accepted must be there in the end.
func TestParallelChanges(t *testing.T) {
	r := open(t, Options{NoSync: true})
	id := r.newActive(t, "data")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 5 {
				body := fmt.Sprintf(`[{"op":"add","path":"/p%d-%d","value":"v"},{"op":"replace","path":"/name","value":"n%d"}]`, i, k, k)
				if p, err := r.try("PATCH", "/v2/images/"+id, strings.NewReader(body), patchType); err != nil || p.status != http.StatusOK {
					t.Errorf("patch: %d %v", p.status, err)
				}
				if p, err := r.try("PUT", fmt.Sprintf("/v2/images/%s/tags/t%d-%d", id, i, k), nil); err != nil || p.status != http.StatusNoContent {
					t.Errorf("tag: %d %v", p.status, err)
				}
				if p, err := r.try("GET", "/v2/images?sort=name&limit=3", nil); err != nil || p.status != http.StatusOK {
					t.Errorf("list: %d %v", p.status, err)
				}
				p, err := r.try("POST", "/v2/images", strings.NewReader(`{"name":"short-lived"}`))
				if err != nil || p.status != http.StatusCreated {
					t.Errorf("create: %d %v", p.status, err)
					continue
				}
				if p, err := r.try("DELETE", p.json(t)["self"].(string), nil); err != nil || p.status != http.StatusNoContent {
					t.Errorf("delete: %d %v", p.status, err)
				}
			}
		})
	}
	all.Wait()
	got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)
	if n := len(got["tags"].([]any)); n != 40 {
		t.Errorf("%d tags, want 40", n)
	}
	for i := range 8 {
		for k := range 5 {
			if got[fmt.Sprintf("p%d-%d", i, k)] != "v" {
				t.Errorf("p%d-%d is lost", i, k)
			}
		}
	}
	if got := names(r.want(t, http.StatusOK, "GET", "/v2/images", "").json(t)); !strings.HasPrefix(got, "n") || strings.Contains(got, " ") {
		t.Errorf("left: %s", got)
	}
}
