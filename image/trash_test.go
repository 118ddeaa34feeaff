package image

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTrashRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "at"), 0).UTC()
		want := Trash{At: at, Until: at.Add(time.Duration(rapid.Int64Range(0, 1).Draw(t, "for")) * time.Second)}
		if want.Until.Year() > 9999 {
			want.Until = at
		}
		if rapid.Bool().Draw(t, "replaced") {
			want.By = "0b43d455-8d31-409d-ada3-77db1301d113"
		}
		const id = "138a75f2-9c4b-4fed-8abb-f0d57a256e24"
		text := want.Encode(id)
		got, ok := Image{ID: id, Hidden: true, Properties: map[string]string{PropertyTrash: text}}.Trashed()
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Fatalf("%s: %v, %s", text, ok, diff)
		}
		if len(text) > 255 {
			t.Fatalf("%d bytes are more than an old service's column holds: %s", len(text), text)
		}
	})
}

func TestNotInTheTrash(t *testing.T) {
	const good = `{"id":"i","at":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z"}`
	lying := func(text string) Image {
		return Image{ID: "i", Hidden: true, Properties: map[string]string{PropertyTrash: text}}
	}
	if tr, ok := lying(good).Trashed(); !ok || tr.Why() != "removed" {
		t.Fatalf("%+v, %v", tr, ok)
	}
	for what, img := range map[string]Image{
		"no property":      {ID: "i", Hidden: true},
		"unhidden":         {ID: "i", Properties: map[string]string{PropertyTrash: good}},
		"a snapshot of it": {ID: "j", Hidden: true, Properties: map[string]string{PropertyTrash: good}},
		"being made":       {ID: "i", Hidden: true, Properties: map[string]string{PropertyTrash: good, PropertyDraft: "d"}},
		"no JSON":          lying("yesterday"),
		"null":             lying("null"),
		"no id":            lying(`{"at":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z"}`),
		"no end":           lying(`{"id":"i","at":"2026-01-02T03:04:05Z"}`),
		"no beginning":     lying(`{"id":"i","until":"2026-01-02T03:04:05Z"}`),
		"ends first":       lying(`{"id":"i","at":"2026-01-02T03:04:05Z","until":"2026-01-01T03:04:05Z"}`),
		"a later version":  lying(`{"v":2,"id":"i","at":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z"}`),
		"no time":          lying(`{"id":"i","at":"2026-01-02T03:04:05Z","until":"soon"}`),
	} {
		if tr, ok := img.Trashed(); ok {
			t.Errorf("%s: %+v", what, tr)
		}
	}
	for text, want := range map[string]bool{
		`{"v":2,"id":"i"}`: true, `{"id":"i","v":3,"at":5}`: true, `{"v":2,"id":"j"}`: false, `{"v":1,"id":"i"}`: false, good: false, ``: false, `{"v":"x","id":"i"}`: false,
	} {
		img := lying(text)
		if img.TrashedByNewer() != want {
			t.Errorf("%s: not %v", text, want)
		}
		if img.Hidden = false; img.TrashedByNewer() {
			t.Errorf("%s, unhidden", text)
		}
	}
	if tr, ok := lying(`{"v":1,` + good[1:]).Trashed(); !ok || tr.At.Year() != 2026 {
		t.Errorf("with the version that it has: %+v, %v", tr, ok)
	}
	if why := (Trash{By: "x"}).Why(); why != "replaced by x" {
		t.Error(why)
	}
}
