package image

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ptr[T any](v T) *T { return &v }

func withAttributes(id, text string) Image {
	return Image{ID: id, Properties: map[string]string{PropertyAttributes: text}}
}

// times are those that RFC 3339 can write: years 0 to 9999.
var times = rapid.Custom(func(t *rapid.T) *time.Time {
	if rapid.Bool().Draw(t, "unset") {
		return nil
	}
	return ptr(time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC())
})

var numbers = rapid.Ptr(rapid.Uint32(), true)

func TestAttributesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Attributes{
			ModTime: times.Draw(t, "mtime"), Created: times.Draw(t, "created"),
			Mode: rapid.Ptr(rapid.Uint32Range(0, 0o777), true).Draw(t, "mode"),
			UID:  numbers.Draw(t, "uid"), GID: numbers.Draw(t, "gid"),
		}
		text := want.Encode("an-id")
		if diff := cmp.Diff(want, withAttributes("an-id", text).Attributes()); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		if a := withAttributes("another", text).Attributes(); !a.IsZero() {
			t.Fatalf("another image has them too: %+v", a)
		}
		if len(text) > 255 {
			t.Fatalf("%d bytes are more than an old service's column holds: %s", len(text), text)
		}
	})
}

func TestAttributesZone(t *testing.T) {
	zone := time.FixedZone("east", 2*60*60)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, zone)
	got := withAttributes("i", Attributes{ModTime: &at}.Encode("i")).Attributes()
	if !got.ModTime.Equal(at) || got.ModTime.Location() != time.UTC {
		t.Errorf("%v became %v", at, got.ModTime)
	}
}

func TestMalformedAttributes(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no JSON": "mtime", "cut": `{"id":"i","mode":`, "a list": `[]`, "null": `null`, "no id": `{"mode":420}`,
		"another's": `{"id":"j","mode":420}`, "mode is text": `{"id":"i","mode":"420"}`, "negative": `{"id":"i","uid":-1}`,
		"too large": `{"id":"i","uid":4294967296}`, "mode with more": `{"id":"i","mode":33188}`, "no time": `{"id":"i","mtime":"yesterday"}`,
		"a number as time": `{"id":"i","mtime":"1700000000"}`, "a later version": `{"id":"i","mode":420,"v":2}`,
	} {
		if a := withAttributes("i", text).Attributes(); !a.IsZero() {
			t.Errorf("%s: %+v", name, a)
		}
	}
	// One bad field does not take the good ones along.
	a := withAttributes("i", `{"id":"i","mtime":"never","mode":384,"later":true}`).Attributes()
	if a.Mode == nil || *a.Mode != 0o600 || a.ModTime != nil {
		t.Errorf("%+v", a)
	}
	if a := (Image{ID: "i"}).Attributes(); !a.IsZero() {
		t.Errorf("no properties: %+v", a)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add("i", `{"id":"i","mtime":"2026-01-02T03:04:05.000000006Z","mode":420,"uid":0,"gid":0,"created":"2026-01-02T03:04:05Z"}`)
	f.Add("", `{}`)
	f.Fuzz(func(t *testing.T, id, text string) {
		a := withAttributes(id, text).Attributes()
		if a.Mode != nil && *a.Mode > 0o777 {
			t.Fatalf("mode %o", *a.Mode)
		}
		// What was read can be written and read again, but for ids that JSON cannot
		// carry.
		if strings.ToValidUTF8(id, "") != id {
			return
		}
		if diff := cmp.Diff(a, withAttributes(id, a.Encode(id)).Attributes()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzAttributesText: what is read and written without encoding/json is what that reads
// and writes.
func FuzzAttributesText(f *testing.F) {
	f.Add("i", `{"id":"i","mtime":"2026-01-02T03:04:05.000000006Z","mode":420,"uid":0,"gid":4294967295,"created":"2026-01-02T03:04:05Z"}`)
	for _, text := range []string{`{"id":"i"}`, `{"id":"i","mode":01}`, `{"id":"i","mode":}`, `{"id":"i","uid":4294967296}`, `{"id":"i","gid":1,"uid":1}`,
		`{"id":"i","mode":1,"mode":2}`, `{"id":"i","mtime":"\\u0031"}`, `{"id":"i","mtime":"","created":"x"}`, `{"id":"i","mode":1 }`, `{"id":"i"}x`, `{"id":"<"}`} {
		f.Add("<", text)
	}
	f.Fuzz(func(t *testing.T, id, text string) {
		var want attributesWire
		err := json.Unmarshal([]byte(text), &want)
		if got, ok := parsePlain(text); ok && (err != nil || !cmp.Equal(got, want)) {
			t.Fatalf("%s: %+v; JSON: %+v, %v", text, got, want, err)
		}
		a := Image{ID: want.ID, Properties: map[string]string{PropertyAttributes: text}}.Attributes()
		for _, id := range []string{id, want.ID} {
			want, err := json.Marshal(attributesWire{
				ID: id, ModTime: formatTime(a.ModTime), Mode: a.Mode, UID: a.UID, GID: a.GID, Created: formatTime(a.Created),
			})
			if got := a.Encode(id); err != nil || got != string(want) {
				t.Fatalf("%s; JSON: %s, %v", got, want, err)
			}
			if _, ok := parsePlain(string(want)); ok != plainText(id) {
				t.Fatalf("%s: read without JSON: %v", want, ok)
			}
		}
	})
}

func TestSortTime(t *testing.T) {
	created, inherited := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	img := withAttributes("i", Attributes{Created: &inherited}.Encode("i"))
	img.CreatedAt = created
	if got := img.SortTime(); !got.Equal(inherited) {
		t.Errorf("with an inherited time: %v", got)
	}
	heir := Image{ID: "j", CreatedAt: created, Properties: map[string]string{PropertyAttributes: func() string {
		at := img.SuccessorTime()
		return Attributes{Created: &at}.Encode("j")
	}()}}
	if !heir.SortTime().Before(img.SortTime()) || !Pack(heir).SortTime().Equal(heir.SortTime()) {
		t.Errorf("its successor has the time %v", heir.SortTime())
	}
	img.ID = "a snapshot of it"
	if got := img.SortTime(); !got.Equal(created) {
		t.Errorf("a copy of the property counts: %v", got)
	}
}
