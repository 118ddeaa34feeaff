package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

func ptr[T any](v T) *T { return &v }

var someImage = image.Image{
	ID: "5d2c7f4e-1111-4222-8333-944455556666", Name: "a/b", Status: image.StatusActive, Visibility: image.VisibilityPublic,
	Owner: "p", DiskFormat: "qcow2", Size: 3 << 20, VirtualSize: 1 << 30, Tags: []string{"x", "y"},
}

func TestListed(t *testing.T) {
	half := func(img image.Image) (int64, bool) { return img.Size / 2, true }
	want := listed{
		Entry: "a%2Fb", ID: ptr(someImage.ID), Name: ptr("a/b"), Status: ptr("active"), Visibility: ptr("public"), DiskFormat: ptr("qcow2"),
		Size: ptr(int64(3 << 20)), VirtualSize: ptr(int64(1 << 30)), Owner: ptr("p"), Tags: []string{"x", "y"}, Cached: ptr(int64(3 << 19)), Draft: ptr("d"),
	}
	if diff := cmp.Diff(want, listedOf(catalog.Entry{Name: "a%2Fb", Image: image.Pack(someImage), Draft: draftID("d")}, half)); diff != "" {
		t.Error(diff)
	}
	queued := image.Image{ID: someImage.ID, Status: image.StatusQueued}
	want = listed{Entry: queued.ID, ID: &queued.ID, Status: ptr("queued"), Tags: []string{}}
	if diff := cmp.Diff(want, listedImage(queued.ID, queued, uncached)); diff != "" {
		t.Errorf("a record without data: %s", diff)
	}
	empty := image.Image{ID: someImage.ID, Status: image.StatusActive}
	if l := listedImage("e", empty, uncached); l.Size == nil || *l.Size != 0 {
		t.Errorf("an image of no bytes has size %v", l.Size)
	}
	if diff := cmp.Diff(listed{Entry: "new", Draft: ptr("d")}, listedOf(catalog.Entry{Name: "new", Draft: draftID("d")}, half)); diff != "" {
		t.Errorf("a draft: %s", diff)
	}
}

func TestEntryTable(t *testing.T) {
	var out bytes.Buffer
	p := newEntryTable(&out)
	if err := p.pause(); err != nil || out.Len() > 0 {
		t.Errorf("before the first row: %q, %v", out.String(), err)
	}
	for _, l := range []listed{
		listedImage("a%2Fb", someImage, func(image.Image) (int64, bool) { return 1 << 20, true }),
		{Entry: "new", Draft: ptr("d")},
		{Entry: "odd", ID: ptr("i"), Status: ptr("act\x1b[31mive"), Owner: ptr("\u009b2J"), Tags: []string{"\n", "中"}},
	} {
		if err := p.print(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	want := `
ID                                    STATUS       VISIBILITY  FORMAT     SIZE  VIRTUAL  CACHED  OWNER  TAGS  ENTRY
5d2c7f4e-1111-4222-8333-944455556666  active       public      qcow2   3.0 MiB  1.0 GiB     33%  p      x,y   a%2Fb
-                                     draft        -           -             -        -       -  -      -     new
i                                     act?[31mive  -           -             -        -       -  ?2J    ?,中   odd
`
	if diff := cmp.Diff(want[1:], out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestShare(t *testing.T) {
	for _, tc := range []struct {
		part, whole *int64
		want        string
	}{
		{nil, ptr(int64(1)), "-"}, {ptr(int64(0)), ptr(int64(0)), "-"}, {ptr(int64(0)), nil, "-"},
		{ptr(int64(0)), ptr(int64(10)), "0%"}, {ptr(int64(1)), ptr(int64(1e6)), "1%"}, {ptr(int64(1e6 - 1)), ptr(int64(1e6)), "99%"},
		{ptr(int64(1e6)), ptr(int64(1e6)), "100%"}, {ptr(int64(1)), ptr(int64(3)), "33%"},
	} {
		if got := share(tc.part, tc.whole); got != tc.want {
			t.Errorf("%v of %v: %s, want %s", tc.part, tc.whole, got, tc.want)
		}
	}
}

// Whatever the service sends, no output has a control character of it, and JSON says
// what was sent.
func TestOutputIsInert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom(nil, unicode.Cc))).Draw(t, "text")
		img := someImage
		img.Name, img.Owner, img.Tags, img.Status, img.DiskFormat = text, text, []string{text}, image.Status(text), text
		img.Properties = map[string]string{text: text}
		l := listedImage(catalog.EntryName(text, img.ID), img, uncached)
		var lines, table, objects, facts, object bytes.Buffer
		for _, p := range []listedPrinter{newEntryLines(&lines), newEntryTable(&table), newJSONLines(&objects)} {
			if err := p.print(l); err != nil {
				t.Fatal(err)
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
		}
		d := describedImage(l, img)
		if err := writeInfo(&facts, d); err != nil {
			t.Fatal(err)
		}
		if err := writeJSON(&object, d); err != nil {
			t.Fatal(err)
		}
		for what, out := range map[string]*bytes.Buffer{"lines": &lines, "table": &table, "objects": &objects, "facts": &facts, "object": &object} {
			if i := strings.IndexFunc(strings.ReplaceAll(out.String(), "\n", ""), unicode.IsControl); i >= 0 {
				t.Fatalf("%s: %q", what, out)
			}
		}
		if strings.Count(lines.String(), "\n") != 1 || strings.Count(objects.String(), "\n") != 1 || strings.Count(table.String(), "\n") != 2 {
			t.Fatalf("not a line each: %q, %q, %q", lines.String(), objects.String(), table.String())
		}
		var back listed
		if err := json.Unmarshal(objects.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, back); diff != "" {
			t.Fatal(diff)
		}
		var all described
		if err := json.Unmarshal(object.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, all, cmp.AllowUnexported(described{})); diff != "" {
			t.Fatal(diff)
		}
	})
}
