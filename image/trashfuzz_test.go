package image

import (
	"testing"
	"time"
)

// FuzzTrash: what is taken for the trash is written so that it is read as the same.
func FuzzTrash(f *testing.F) {
	f.Add("i", `{"id":"i","at":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z","by":"j"}`)
	f.Add("i", `{"id":"i","at":"2026-01-02T03:04:05.9+23:59","until":"9999-12-31T23:59:59-23:59"}`)
	f.Add("i", `{"id":"i","at":"0000-01-01T00:00:00+01:00","until":"2026-01-03T03:04:05Z"}`)
	f.Add("i", `{"v":2,"id":"i","at":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z"}`)
	f.Fuzz(func(t *testing.T, id, text string) {
		lying := func(text string) Image {
			return Image{ID: id, Hidden: true, Properties: map[string]string{PropertyTrash: text}}
		}
		img := lying(text)
		why, ok := img.Trashed()
		if !ok {
			return
		}
		if img.TrashedByNewer() || why.Until.Before(why.At) {
			t.Fatalf("%q is %+v", text, why)
		}
		why.At, why.Until = why.At.Truncate(time.Second), why.Until.Truncate(time.Second)
		again, ok := lying(why.Encode(id)).Trashed()
		if years := why.At.Year() >= 0 && why.Until.Year() <= 9999; years && (!ok || again != why) {
			t.Errorf("%+v became %+v, %v", why, again, ok)
		}
	})
}
