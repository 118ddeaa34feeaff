package imageserver

import (
	"net/http"
	"testing"
)

// What is not UTF-8 is refused: it could be kept and shown as another text only.
func TestNotUTF8(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"name":"n"`)
	r.want(t, http.StatusBadRequest, "POST", "/v2/images", "{\"name\":\"\xff\"}")
	r.want(t, http.StatusBadRequest, "PATCH", "/v2/images/"+id, "[{\"op\":\"add\",\"path\":\"/p\",\"value\":\"\xe4\"}]", patchType)
	r.want(t, http.StatusBadRequest, "PUT", "/v2/images/"+id+"/tags/%ff", "")
	if tags := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)["tags"].([]any); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
}
