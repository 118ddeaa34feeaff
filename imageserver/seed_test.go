package imageserver

import (
	"net/http"
	"testing"
)

// What was seeded is listed, oldest last, with all that an image has, and can be
// changed and deleted.
func TestSeed(t *testing.T) {
	const count = 30
	dir := t.TempDir()
	for range 2 { // again is the same
		if err := Seed(dir, count); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, Options{Dir: dir, NoSync: true})
	images := r.do(t, http.MethodGet, "/v2/images?limit=1000", nil).json(t)["images"].([]any)
	if len(images) != count {
		t.Fatalf("%d images are listed, want %d", len(images), count)
	}
	ids := map[any]bool{}
	for _, listed := range images {
		img := listed.(map[string]any)
		ids[img["id"]] = true
		if len(img["os_hash_value"].(string)) != 128 || len(img["checksum"].(string)) != 32 || img["status"] != "active" || img["pipeline_build_number"] == nil {
			t.Errorf("seeded %v", img)
		}
	}
	if len(ids) != count {
		t.Errorf("%d ids of %d images", len(ids), count)
	}
	oldest := images[count-1].(map[string]any)
	if oldest["created_at"] != "2024-01-01T00:00:00Z" {
		t.Errorf("the oldest is %v", oldest)
	}
	if p := r.do(t, http.MethodDelete, "/v2/images/"+oldest["id"].(string), nil); p.status != http.StatusNoContent {
		t.Errorf("deleting answers %d: %s", p.status, p.body)
	}
}
