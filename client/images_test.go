package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// TestCreateLostAnswer: the first create is heard, but its answer is lost.
func TestCreateLostAnswer(t *testing.T) {
	for _, c := range []struct {
		name, found string
		want        image.Kind
	}{
		{"ours", `, "a": "1"`, image.Other},
		{"another's", `, "a": "2"`, image.Exists},
	} {
		var posts atomic.Int32
		client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet:
				fmt.Fprint(w, record(someID, c.found))
			case posts.Add(1) == 1:
				_, _ = io.Copy(io.Discard, r.Body)
				hangUp(w)
			default:
				w.WriteHeader(http.StatusConflict)
			}
		})
		img, err := client.Create(t.Context(), image.New{ID: someID, Name: "n", Properties: map[string]string{"a": "1"}})
		if c.want == image.Other {
			if err != nil || img.ID != someID {
				t.Errorf("%s: %v, %v", c.name, img, err)
			}
		} else {
			wantKind(t, err, c.want)
		}
		if posts.Load() != 2 {
			t.Errorf("%s: %d posts", c.name, posts.Load())
		}
	}
}

// TestCreateConflict: without a lost answer a conflict is one, and an id is
// always sent.
func TestCreateConflict(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ID string `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !validID(body.ID) {
			t.Errorf("id %q, %v", body.ID, err)
		}
		w.WriteHeader(http.StatusConflict)
	})
	_, err := c.Create(t.Context(), image.New{Name: "n"})
	wantKind(t, err, image.Exists)
}

// TestDeleteLostAnswer: gone after a try that was not heard of is success.
func TestDeleteLostAnswer(t *testing.T) {
	for _, lost := range []bool{true, false} {
		var tries atomic.Int32
		c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			if tries.Add(1) == 1 && lost {
				hangUp(w)
			}
			w.WriteHeader(http.StatusNotFound)
		})
		err := c.Delete(t.Context(), someID)
		if lost && err != nil {
			t.Error(err)
		}
		if !lost {
			wantKind(t, err, image.NotFound)
		}
	}
}

// TestForbidden: 403 has four reasons.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		record string // "" when it cannot be read
		want   image.Kind
	}{
		{record(someID, `, "owner": "mine", "protected": true`), image.Protected},
		{record(someID, `, "owner": "other", "protected": true`), image.Foreign},
		{record(someID, `, "owner": "mine"`), image.Forbidden},
		{"", image.Forbidden},
	} {
		client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || c.record == "" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprint(w, c.record)
		})
		client.session.project = "mine"
		wantKind(t, client.Delete(t.Context(), someID), c.want)
		_, err := client.Update(t.Context(), someID, []image.Change{set("a", "b")})
		wantKind(t, err, c.want)
		wantKind(t, client.Upload(t.Context(), someID, 1, reader([]byte("x"))), c.want)
	}
}

// TestChangeLog: each change leaves one line with image, request and caller, and
// no line has the token.
func TestChangeLog(t *testing.T) {
	log, lines := logged()
	c := fake(t, Options{Token: "secret", Logger: log}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set(headerRequestID, "req-"+r.Method)
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, record(someID, ""))
		case http.MethodPatch:
			fmt.Fprint(w, record(someID, ""))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	ctx := image.WithCaller(t.Context(), image.Caller{UID: 7, PID: 42, Command: "cp"})
	if _, err := c.Create(ctx, image.New{ID: someID, Name: "n"}); err != nil {
		t.Error(err)
	}
	if err := c.Upload(ctx, someID, 3, reader([]byte("abc"))); err != nil {
		t.Error(err)
	}
	if _, err := c.Update(ctx, someID, []image.Change{set("a", "b")}); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, someID); err != nil {
		t.Error(err)
	}
	got := strings.Split(strings.TrimSpace(lines.String()), "\n")
	methods := []string{"POST", "PUT", "PATCH", "DELETE"}
	if len(got) != len(methods) {
		t.Fatalf("lines:\n%s", lines)
	}
	for i, m := range methods {
		for _, part := range []string{"level=INFO", "image=" + someID, "request=req-" + m, "caller.uid=7", "caller.pid=42", "caller.command=cp"} {
			if !strings.Contains(got[i], part) {
				t.Errorf("%s is not in %s", part, got[i])
			}
		}
	}
	if strings.Contains(lines.String(), "secret") {
		t.Error("the token is in the log")
	}
}

func TestUsageSwitchesOff(t *testing.T) {
	var asked atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	})
	for range 2 {
		_, err := c.Usage(t.Context())
		wantKind(t, err, image.Unsupported)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	c = fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"usage": {"image_size_total": {"limit": 100, "usage": 7}, "image_count_total": {"limit": -1, "usage": 2}}}`)
	})
	got, err := c.Usage(t.Context())
	if err != nil || got["image_size_total"] != (Usage{Used: 7, Limit: 100}) || got["image_count_total"] != (Usage{Used: 2, Limit: -1}) {
		t.Errorf("%v, %v", got, err)
	}
}

// Who sees no members where the service has said nothing of them would take them away.
func TestMembersUnknown(t *testing.T) {
	for _, body := range []string{`{}`, `{"members": null}`, `{"members": [{"status": "accepted"}]}`, `{"members": [{"member_id": ""}]}`} {
		c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		members, err := c.Members(t.Context(), someID)
		wantKind(t, err, image.UnexpectedAnswer)
		if len(members) != 0 {
			t.Errorf("%s: %v", body, members)
		}
	}
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"members": []}`) })
	if members, err := c.Members(t.Context(), someID); err != nil || len(members) != 0 {
		t.Errorf("%v, %v", members, err)
	}
}
