package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/imagefs/imagefs/image"
)

func set(name, value string) image.Change {
	return image.Change{Field: name, Property: true, Value: value}
}

func TestSteps(t *testing.T) {
	got, err := json.Marshal(steps([]image.Change{
		set("a/b~c", "x"), {Field: "gone~/", Property: true}, {Field: "name"}, {Field: "name", Value: ""},
		{Field: "tags", Value: []string(nil)}, {Field: "os_hidden", Value: false}, {Field: "min_disk", Value: int64(2)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"add","path":"/a~1b~0c","value":"x"},{"op":"remove","path":"/gone~0~1"},` +
		`{"op":"replace","path":"/name","value":null},{"op":"add","path":"/name","value":""},` +
		`{"op":"add","path":"/tags","value":[]},{"op":"add","path":"/os_hidden","value":false},{"op":"add","path":"/min_disk","value":2}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func conflict(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict) }

// TestUpdateRetries: a patch that only sets is sent again when its answer is
// lost; one that removes is decided anew.
func TestUpdateRetries(t *testing.T) {
	for _, c := range []struct {
		name    string
		fail    func(http.ResponseWriter)
		changes []image.Change
		failing int32 // how many of the first patches fail
		patches int32 // in all
		looks   int32 // at the record
		want    image.Kind
	}{
		{"set, lost", hangUp, []image.Change{set("a", "1")}, 2, 3, 0, image.Other},
		{"remove", nil, []image.Change{{Field: "old", Property: true}}, 0, 1, 0, image.Other},
		{"remove, lost", hangUp, []image.Change{{Field: "old", Property: true}}, 2, 3, 2, image.Other},
		{"remove, conflict", conflict, []image.Change{{Field: "old", Property: true}}, 2, 3, 2, image.Other},
		{"set, conflict", conflict, []image.Change{set("a", "1")}, 2, 1, 0, image.Busy},
		{"set, refused", func(w http.ResponseWriter) { w.WriteHeader(400) }, []image.Change{set("a", "1")}, 2, 1, 0, image.Rejected},
		{"set, too many", func(w http.ResponseWriter) { w.WriteHeader(413) }, []image.Change{set("a", "1")}, 2, 1, 0, image.Quota},
		{"remove what is not there", conflict, []image.Change{{Field: "none", Property: true}}, 1, 1, 1, image.Other},
		{"remove what is not there, and set", conflict, []image.Change{{Field: "none", Property: true}, set("a", "1")}, 1, 2, 1, image.Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			var patches, looks atomic.Int32
			client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					looks.Add(1)
				}
				if r.Method == http.MethodPatch && patches.Add(1) <= c.failing {
					c.fail(w)
					return
				}
				if r.Method == http.MethodPatch && r.Header.Get("Content-Type") != typePatch {
					t.Errorf("content type %q", r.Header.Get("Content-Type"))
				}
				fmt.Fprint(w, record(someID, `, "old": "1"`))
			})
			_, err := client.Update(t.Context(), someID, c.changes)
			if c.want != image.Other {
				wantKind(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
			if patches.Load() != c.patches || looks.Load() != c.looks {
				t.Errorf("%d patches and %d looks, want %d and %d", patches.Load(), looks.Load(), c.patches, c.looks)
			}
		})
	}
}

// TestUpdateGivesUp: a conflict that does not end.
func TestUpdateGivesUp(t *testing.T) {
	var patches atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			patches.Add(1)
			w.WriteHeader(http.StatusConflict)
			return
		}
		fmt.Fprint(w, record(someID, `, "old": "1"`))
	})
	_, err := c.Update(t.Context(), someID, []image.Change{{Field: "old", Property: true}})
	wantKind(t, err, image.Busy)
	if patches.Load() != updateTries {
		t.Errorf("%d patches", patches.Load())
	}
}

// TestUpdateOrder: one at a time for one image, and not for two.
func TestUpdateOrder(t *testing.T) {
	var mu sync.Mutex
	running, most := map[string]int{}, map[string]int{}
	both := make(chan struct{}, 2)
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		mu.Lock()
		running[id]++
		most[id] = max(most[id], running[id])
		mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "meet") { // two images' requests meet here
			both <- struct{}{}
			for len(both) < 2 {
				if r.Context().Err() != nil {
					return
				}
			}
		}
		mu.Lock()
		running[id]--
		mu.Unlock()
		fmt.Fprint(w, record(id, ""))
	})
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			id := []string{someID, otherID}[g%2]
			name := "p"
			if g < 2 {
				name = "meet"
			}
			if _, err := c.Update(t.Context(), id, []image.Change{set(name, "x")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most[someID] != 1 || most[otherID] != 1 {
		t.Errorf("at once: %v", most)
	}
	if len(c.updates.keys) != 0 {
		t.Error("a lock is left")
	}
}

func TestKeyLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newKeyLock()
		unlock, err := l.lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.lock(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var order []string
		go func() {
			_, err := l.lock(ctx, "a")
			order = append(order, fmt.Sprint(err))
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		go func() {
			unlock, err := l.lock(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, "locked")
			unlock()
		}()
		synctest.Wait()
		order = append(order, "unlock")
		unlock()
		synctest.Wait()
		other()
		if want := []string{"context canceled", "unlock", "locked"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
		if len(l.keys) != 0 {
			t.Errorf("%d keys are left", len(l.keys))
		}
	})
}

// TestUpdateAnsweredWithDamage: the service has made the change, whatever has become of
// its answer, and so has Update.
func TestUpdateAnsweredWithDamage(t *testing.T) {
	for name, answer := range map[string]string{
		"cut": `{"id": "`, "no JSON": "<html>", "no status": `{"id": "` + someID + `"}`, "another type": `{"id": 7, "status": "active"}`,
	} {
		t.Run(name, func(t *testing.T) {
			var patches atomic.Int32
			client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPatch {
					patches.Add(1)
					_, _ = io.WriteString(w, answer) // the client sees what it sees
					return
				}
				_, _ = io.WriteString(w, record(someID, `, "name": "new"`)) // the same
			})
			img, err := client.Update(t.Context(), someID, []image.Change{{Field: "name", Value: "new"}})
			if err != nil || img.Name != "new" || patches.Load() != 1 {
				t.Errorf("%+v, %v after %d changes", img, err, patches.Load())
			}
		})
	}
}
