package imageserver

import (
	"net/http"
	"testing"
)

func TestLifeOfAnImage(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"name":"a","disk_format":"raw","container_format":"bare","tags":["y","x","y"],"foo":"bar"`)
	path := "/v2/images/" + id
	r.want(t, http.StatusNoContent, "GET", path+"/file", "")
	r.want(t, http.StatusNoContent, "PUT", path+"/file", "0123456789", octetStream)
	got := r.want(t, http.StatusOK, "GET", path, "").json(t)
	for field, want := range map[string]any{
		"name": "a", "status": "active", "size": 10.0, "virtual_size": 10.0, "visibility": "shared", "foo": "bar",
		"checksum": "781e5e245d69b566979b86e28d23f2c7", "os_hash_algo": "sha512", "owner": "imagefs",
		"os_hash_value": "bb96c2fc40d2d54617d6f276febe571f623a8dadf0b734855299b0e107fda32cf6b69f2da32b36445d73690b93cbd0f7bfc20e0f7f28553d2a4428f23b716e90",
		"self":          path, "file": path + "/file", "schema": "/v2/schemas/image", "min_disk": 0.0, "protected": false,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	data := r.want(t, http.StatusOK, "GET", path+"/file", "")
	if string(data.body) != "0123456789" || data.header.Get("Content-Md5") != "781e5e245d69b566979b86e28d23f2c7" {
		t.Errorf("data %q, header %v", data.body, data.header)
	}
	r.want(t, http.StatusConflict, "PUT", path+"/file", "x", octetStream)
	r.want(t, http.StatusOK, "PATCH", path, `[{"op":"replace","path":"/protected","value":true},{"op":"replace","path":"/name","value":"b"}]`, patchType)
	r.want(t, http.StatusForbidden, "DELETE", path, "")
	r.want(t, http.StatusOK, "PATCH", path, `[{"op":"replace","path":"/protected","value":false}]`, patchType)
	if got := names(r.want(t, http.StatusOK, "GET", "/v2/images?name=eq:b", "").json(t)); got != "b" {
		t.Errorf("listing of name b: %q", got)
	}
	r.want(t, http.StatusNoContent, "DELETE", path, "")
	r.want(t, http.StatusNotFound, "DELETE", path, "")
	r.want(t, http.StatusNotFound, "GET", path+"/file", "")
	r.want(t, http.StatusConflict, "POST", "/v2/images", `{"id":"`+id+`"}`)
}
