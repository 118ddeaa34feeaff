package image

import (
	"slices"
	"testing"
)

func TestClone(t *testing.T) {
	img := Image{Tags: []string{"a"}, Stores: []string{"s"}, Properties: map[string]string{"k": "v"}}
	c := img.Clone()
	c.Tags[0], c.Stores[0], c.Properties["k"] = "x", "x", "x"
	if !slices.Equal(img.Tags, []string{"a"}) || !slices.Equal(img.Stores, []string{"s"}) || img.Properties["k"] != "v" {
		t.Errorf("the original has changed: %+v", img)
	}
	if c := (Image{}).Clone(); c.Tags != nil || c.Stores != nil || c.Properties != nil {
		t.Errorf("a copy of nothing: %+v", c)
	}
}

func TestHasData(t *testing.T) {
	mapping := map[string]string{"block_device_mapping": "[]"}
	for _, c := range []struct {
		name         string
		img          Image
		data, volume bool
	}{
		{"active", Image{Status: StatusActive, Size: 1}, true, false},
		{"active and empty", Image{Status: StatusActive}, true, false},
		{"queued", Image{Status: StatusQueued}, false, false},
		{"deactivated", Image{Status: StatusDeactivated, Size: 1}, false, false},
		{"volume-backed", Image{Status: StatusActive, Properties: mapping}, false, true},
		{"mapping and bytes", Image{Status: StatusActive, Size: 1, Properties: mapping}, true, false},
	} {
		if c.img.HasData() != c.data || c.img.VolumeBacked() != c.volume {
			t.Errorf("%s: data %v, volume-backed %v", c.name, c.img.HasData(), c.img.VolumeBacked())
		}
	}
}
