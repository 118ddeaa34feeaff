package client

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

func wantPermission(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("not permitted: %v", err)
	}
}

// aged makes what is remembered of the image's permission so much older.
func (p *permissions) aged(id string, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Peek(id)
	known.given, known.unanswered = known.given.Add(-by), known.unanswered.Add(-by)
	p.known.Add(id, known)
}

// Permission is asked for once a minute, with one byte; data that was given counts, and
// what others ask at the same moment.
func TestPermissionIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	data := randomBytes(1000)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if got := r.Header.Get("Range"); got != "bytes=0-0" && got != "bytes=10-19" {
			t.Errorf("asked with %q", got)
		}
		served(w, r, data)
	})
	want := func(what string, n int32) {
		t.Helper()
		if got := asked.Load(); got != n {
			t.Errorf("%s: %d requests, want %d", what, got, n)
		}
	}
	img := active(1000)
	if c.HasAsked(img.ID) {
		t.Error("asked before anything")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { wantPermission(t, c.MayRead(t.Context(), img)) })
	}
	all.Wait()
	want("eight at once", 1)
	c.permissions.aged(img.ID, permissionLasts)
	wantPermission(t, c.MayRead(t.Context(), img))
	want("after a minute", 2)
	c.permissions.aged(img.ID, permissionLasts)
	body, err := c.OpenSpan(t.Context(), img, image.Span{Off: 10, Len: 10})
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	wantPermission(t, c.MayRead(t.Context(), img))
	want("after a read", 3)
	img.Status = image.StatusDeactivated
	wantPermission(t, c.MayRead(t.Context(), img))
	wantPermission(t, c.MayRead(t.Context(), img))
	want("deactivated, as an admin", 5)
	wantPermission(t, c.MayRead(t.Context(), active(0)))
	want("without bytes", 5)
}

// What each answer of the service means: a store without ranges has refused nothing.
func TestPermissionAnswers(t *testing.T) {
	of := func(status int) *Client {
		c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(headerRequestID, "req-1")
			w.WriteHeader(status)
		})
		c.identifies, c.retries.budget = true, 20*time.Millisecond
		return c
	}
	for _, c := range []struct {
		status int
		want   image.Kind
	}{
		{403, image.Forbidden}, {404, image.NotFound}, {401, image.Credentials}, {500, image.Unavailable},
	} {
		wantKind(t, of(c.status).MayRead(t.Context(), active(10)), c.want)
	}
	for _, status := range []int{200, 204, 206, 400} { // 204: its data is being deleted
		wantPermission(t, of(status).MayRead(t.Context(), active(10)))
	}
	for _, status := range []int{204, 400} {
		f := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		f.identifies = true
		wantKind(t, f.MayRead(t.Context(), active(10)), image.Unavailable) // a proxy's own
	}
}

// The status is the answer: nobody waits for the byte of a store that stalls.
func TestPermissionWithoutTheByte(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-0/10")
		w.Header().Set("Content-Length", "1")
		w.WriteHeader(http.StatusPartialContent)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
			t.Error("the byte is waited for")
		}
	})
	wantPermission(t, c.MayRead(t.Context(), active(10)))
}

// A refusal takes the permission away at once, wherever it is met.
func TestPermissionIsWithdrawn(t *testing.T) {
	var refuses atomic.Bool
	data := randomBytes(100)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		served(w, r, data)
	})
	img := active(100)
	wantPermission(t, c.MayRead(t.Context(), img))
	before := time.Now()
	refuses.Store(true)
	_, err := c.OpenSpan(t.Context(), img, image.Span{Len: 10})
	wantKind(t, err, image.Forbidden)
	wantKind(t, c.MayRead(t.Context(), img), image.Forbidden)
	if !c.HasAsked(img.ID) {
		t.Error("a refusal is forgotten")
	}
	c.permissions.give(img.ID, before) // an answer that was long on its way
	wantKind(t, c.MayRead(t.Context(), img), image.Forbidden)
	refuses.Store(false)
	wantPermission(t, c.MayRead(t.Context(), img))
}

// An image that the service cannot give, for its store is broken, says nothing of what
// the service would say of others.
func TestPermissionWhileAStoreIsAway(t *testing.T) {
	var broken atomic.Bool
	data := randomBytes(100)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !broken.Load():
			served(w, r, data)
		case strings.Contains(r.URL.Path, someID):
			w.Header().Set(headerRequestID, "req-1")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	c.identifies = true
	img, other := active(100), active(100)
	other.ID = otherID
	for _, img := range []image.Image{img, other} {
		wantPermission(t, c.MayRead(t.Context(), img))
		c.permissions.aged(img.ID, permissionLasts)
	}
	broken.Store(true)
	for range 2 * circuitFailures {
		wantPermission(t, c.MayRead(t.Context(), img))
		c.permissions.aged(img.ID, permissionPause)
	}
	wantKind(t, c.MayRead(t.Context(), other), image.Forbidden)
}

// While the service is away, permission that it gave this client within an hour counts,
// and the service is not asked at each open.
func TestPermissionDuringAnOutage(t *testing.T) {
	var away atomic.Bool
	var asked atomic.Int32
	data := randomBytes(100)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		served(w, r, data)
	})
	img, other := active(100), active(100)
	other.ID = otherID
	wantPermission(t, c.MayRead(t.Context(), img))
	away.Store(true)
	c.permissions.aged(img.ID, permissionLasts)
	asked.Store(0)
	for range 3 {
		wantPermission(t, c.MayRead(t.Context(), img))
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	c.retries.budget = 20 * time.Millisecond
	wantKind(t, c.MayRead(t.Context(), other), image.Unavailable) // never given
	c.permissions.aged(img.ID, permissionOutage)
	wantKind(t, c.MayRead(t.Context(), img), image.Unavailable)
}

// Of more images than are remembered those that were not used for longest are asked for
// again; and what was forgotten does not count as never asked.
func TestPermissionIsForgotten(t *testing.T) {
	var asked atomic.Int32
	data := randomBytes(100)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		served(w, r, data)
	})
	used, unused := active(100), active(100)
	unused.ID = otherID
	for _, img := range []image.Image{used, unused} {
		wantPermission(t, c.MayRead(t.Context(), img))
	}
	if c.HasAsked("never") {
		t.Error("asked for what nobody opened")
	}
	for i := range permissionImages - 1 {
		wantPermission(t, c.MayRead(t.Context(), used))
		c.permissions.give(strconv.Itoa(i), time.Now())
	}
	if !c.HasAsked(unused.ID) || !c.HasAsked("never") {
		t.Error("what was forgotten counts as never asked")
	}
	wantPermission(t, c.MayRead(t.Context(), used))
	wantPermission(t, c.MayRead(t.Context(), unused))
	if n := asked.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
