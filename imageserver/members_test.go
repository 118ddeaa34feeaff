package imageserver

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	other = "X-Project-Id: other"
	admin = "X-Roles: admin"
)

func TestMembers(t *testing.T) {
	c := newClock()
	r := open(t, Options{Clock: c.time})
	id := r.newImage(t, `"name":"shared"`)
	list := "/v2/images/" + id + "/members"
	one := list + "/other"
	c.advance(time.Hour)
	for _, step := range []struct {
		status             int
		method, path, body string
		header             string
	}{
		{404, "GET", "/v2/images/" + id, "", other},
		{404, "GET", list, "", other},
		{400, "POST", list, `{}`, ""},
		{400, "POST", list, `[]`, ""},
		{400, "POST", list, `{"member":""}`, ""},
		{200, "POST", list, `{"member":"other"}`, ""},
		{409, "POST", list, `{"member":"other"}`, ""},
		{200, "POST", list, `{"member":"third"}`, ""},
		{200, "GET", "/v2/images/" + id, "", other},
		{403, "POST", list, `{"member":"fourth"}`, other},
		{403, "DELETE", "/v2/images/" + id, "", other},
		{403, "PATCH", "/v2/images/" + id, `[{"op":"replace","path":"/name","value":"mine"}]`, other},
		{403, "PUT", "/v2/images/" + id + "/tags/t", "", other},
		{403, "POST", "/v2/images/" + id + "/actions/deactivate", "", other},
		{403, "PUT", one, `{"status":"accepted"}`, ""},
		{400, "PUT", one, `{"status":"maybe"}`, other},
		{200, "PUT", one, `{"status":"accepted"}`, other},
		{404, "PUT", list + "/third", `{"status":"accepted"}`, other},
		{404, "GET", list + "/third", "", other},
		{200, "GET", one, "", other},
		{200, "PUT", list + "/third", `{"status":"rejected"}`, admin},
		{403, "DELETE", one, "", other},
		{204, "DELETE", list + "/third", "", ""},
		{404, "DELETE", list + "/third", "", ""},
	} {
		header := []string{patchType}
		if step.header != "" {
			header = append(header, step.header)
		}
		if got := r.do(t, step.method, step.path, strings.NewReader(step.body), header...); got.status != step.status {
			t.Errorf("%s %s %s as %q: status %d, want %d: %s", step.method, step.path, step.body, step.header, got.status, step.status, got.body)
		}
	}
	if got := string(r.want(t, http.StatusOK, "GET", list, "").body); got != `{"members":[{"created_at":"2026-01-02T04:04:05Z","image_id":"`+id+`","member_id":"other","schema":"/v2/schemas/member","status":"accepted","updated_at":"2026-01-02T04:04:05Z"}],"schema":"/v2/schemas/members"}` {
		t.Error(got)
	}
	// Sharing does not move updated_at: a listing filtered by it misses it.
	if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t); got["updated_at"] != "2026-01-02T03:04:05Z" {
		t.Errorf("updated_at %v", got["updated_at"])
	}
	private := r.newImage(t, `"visibility":"private"`)
	r.want(t, http.StatusForbidden, "GET", "/v2/images/"+private+"/members", "")
	r.want(t, http.StatusNotFound, "GET", "/v2/images/"+private+"/members/x", "")
	r.want(t, http.StatusForbidden, "POST", "/v2/images/"+private+"/members", `{"member":"x"}`)
	r.want(t, http.StatusNotFound, "POST", "/v2/images/nonsense/members", `{"member":"x"}`)
}

func TestTags(t *testing.T) {
	r := open(t, Options{})
	path := "/v2/images/" + r.newImage(t, `"tags":["b"]`)
	r.want(t, http.StatusNoContent, "PUT", path+"/tags/a%20b", "")
	r.want(t, http.StatusNoContent, "PUT", path+"/tags/a%20b", "")
	r.want(t, http.StatusNotFound, "PUT", path+"/tags/a%2Fb", "")
	r.want(t, http.StatusBadRequest, "PUT", path+"/tags/"+strings.Repeat("t", 256), "")
	r.want(t, http.StatusNoContent, "DELETE", path+"/tags/b", "")
	r.want(t, http.StatusNotFound, "DELETE", path+"/tags/b", "")
	r.want(t, http.StatusNotFound, "PUT", "/v2/images/nonsense/tags/a", "")
	if got := r.want(t, http.StatusOK, "GET", path, ""); !strings.Contains(string(got.body), `"tags":["a b"]`) {
		t.Errorf("%s", got.body)
	}
	r.want(t, http.StatusOK, "PATCH", path, `[{"op":"replace","path":"/tags","value":`+manyTags(128)+`}]`, patchType)
	r.want(t, http.StatusRequestEntityTooLarge, "PUT", path+"/tags/onemore", "")
}
