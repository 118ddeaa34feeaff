package image

import (
	"testing"
	"time"
)

func TestRenameCarried(t *testing.T) {
	over := &Image{ID: "over", Name: "b"}
	old, place, mode := time.Unix(1e9, 0), time.Unix(1e8, 0), uint32(0o640)
	with := func(name, attributes string) Image {
		return Image{ID: "a", Name: name, Properties: map[string]string{PropertyAttributes: attributes}}
	}
	was, given := Attributes{Created: &old}.Encode("a"), Attributes{Created: &place}.Encode("a")
	later := Attributes{Created: &place, Mode: &mode}.Encode("a")
	for what, c := range map[string]struct {
		r    Rename
		now  Image
		want bool
	}{
		"not begun":                            {Rename{Image: with("a", was), Name: "b", Over: over, Attributes: given}, with("a", was), false},
		"done":                                 {Rename{Image: with("a", was), Name: "b", Over: over, Attributes: given}, with("b", given), true},
		"done, and changed since":              {Rename{Image: with("a", was), Name: "b", Over: over, Attributes: given}, with("b", later), true},
		"renamed since":                        {Rename{Image: with("a", was), Name: "b", Over: over, Attributes: given}, with("c", given), false},
		"of one name, not begun":               {Rename{Image: with("b", was), Name: "b", Over: over, Attributes: given}, with("b", was), false},
		"of one name, done":                    {Rename{Image: with("b", was), Name: "b", Over: over, Attributes: given}, with("b", given), true},
		"of one name, done, and changed since": {Rename{Image: with("b", was), Name: "b", Over: over, Attributes: given}, with("b", later), true},
		"of one name, and without attributes":  {Rename{Image: with("b", was), Name: "b", Over: over, Attributes: given}, with("b", ""), false},
		"over a draft of its own":              {Rename{Image: with("b", was), Name: "b"}, with("b", was), true},
	} {
		if got := c.r.Carried(c.now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestRenameUntouched(t *testing.T) {
	was := Image{
		ID: "over", Name: "b", Owner: "ours", Visibility: VisibilityShared, DiskFormat: "raw", ContainerFormat: "bare",
		Tags: []string{"x", "y"}, CreatedAt: time.Unix(1e9, 0), Properties: map[string]string{"p": "v"},
	}
	r := Rename{Over: &was}
	for what, c := range map[string]struct {
		change func(*Image)
		want   bool
	}{
		"nothing":                  {func(*Image) {}, true},
		"tags in another order":    {func(i *Image) { i.Tags = []string{"y", "x"} }, true},
		"what imagefs keeps":       {func(i *Image) { i.Properties[PropertyAttributes] = "x" }, true},
		"what the service keeps":   {func(i *Image) { i.UpdatedAt, i.Properties["os_glance_x"] = time.Unix(2e9, 0), "x" }, true},
		"name":                     {func(i *Image) { i.Name = "c" }, false},
		"another image altogether": {func(i *Image) { i.ID = "c" }, false},
		"owner":                    {func(i *Image) { i.Owner = "theirs" }, false},
		"visibility":               {func(i *Image) { i.Visibility = VisibilityPublic }, false},
		"hidden":                   {func(i *Image) { i.Hidden = true }, false},
		"tag":                      {func(i *Image) { i.Tags = []string{"x"} }, false},
		"property":                 {func(i *Image) { i.Properties["p"] = "w" }, false},
		"min_disk":                 {func(i *Image) { i.MinDisk = 1 }, false},
	} {
		now := was.Clone()
		c.change(&now)
		if got := r.Untouched(now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
	if (Rename{}).Untouched(was) {
		t.Error("a rename over nothing")
	}
}
