package image

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sameAnswers fails where a packed record answers otherwise than the record itself.
func sameAnswers(t interface{ Errorf(string, ...any) }, img Image) {
	p := Pack(img)
	if diff := cmp.Diff(img, p.Unpack()); diff != "" {
		t.Errorf("unpacked: %s", diff)
	}
	type answers struct {
		ID, Name, Owner              string
		Size                         int64
		Status                       Status
		Visibility                   Visibility
		Protected, Hidden            bool
		Created, Updated, Sort       time.Time
		VolumeBacked, HasData, IsOdd bool
		Attributes                   Attributes
	}
	id, usual := p.UUID()
	if usual && id.String() != img.ID {
		t.Errorf("the id %q is %v", img.ID, id)
	}
	_, wants := ParseUUID(img.ID)
	if diff := cmp.Diff(answers{
		img.ID, img.Name, img.Owner, img.Size, img.Status, img.Visibility, img.Protected, img.Hidden, img.CreatedAt, img.UpdatedAt,
		img.SortTime(), img.VolumeBacked(), img.HasData(), !wants, img.Attributes(),
	}, answers{
		p.ID(), p.Name(), p.Owner(), p.Size(), p.Status(), p.Visibility(), p.Protected(), p.Hidden(), p.CreatedAt(), p.UpdatedAt(),
		p.SortTime(), p.VolumeBacked(), p.HasData(), !usual, p.Attributes(),
	}); diff != "" {
		t.Errorf("answers: %s", diff)
	}
	for name, value := range img.Properties {
		if got, ok := p.Property(name); !ok || got != value {
			t.Errorf("property %q: %q, %v; not %q", name, got, ok, value)
		}
	}
	if value, ok := p.Property("no such property"); ok {
		t.Errorf("a property that is not there: %q", value)
	}
	if !p.Equal(Pack(img.Clone())) {
		t.Errorf("a copy packed is not equal")
	}
}

var (
	anyText = rapid.OneOf(rapid.String(), rapid.Just(""), rapid.StringMatching(`[0-9a-f]{0,140}`),
		rapid.StringMatching(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`), rapid.StringMatching(`[a-z_]{1,40}`))
	anyTime = rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		nanos := rapid.SampledFrom([]int64{0, 0, 1, 999_999_999}).Draw(t, "nanoseconds")
		return time.Unix(rapid.OneOf(rapid.Int64(), rapid.Int64Range(1_700_000_000, 1_800_000_000)).Draw(t, "seconds"), nanos).UTC()
	})
	anyImage = rapid.Custom(func(t *rapid.T) Image {
		text := func(what string) string { return anyText.Draw(t, what) }
		img := Image{
			ID: text("id"), Name: text("name"), Status: Status(text("status")), Visibility: Visibility(text("visibility")), Owner: text("owner"),
			DiskFormat: text("disk format"), ContainerFormat: text("container format"), Size: rapid.Int64().Draw(t, "size"),
			VirtualSize: rapid.Int64().Draw(t, "virtual size"), Checksum: text("checksum"), HashAlgo: text("algo"), HashValue: text("hash"),
			MinDisk: rapid.Int64().Draw(t, "min disk"), MinRAM: rapid.Int64().Draw(t, "min ram"), Protected: rapid.Bool().Draw(t, "protected"),
			Hidden: rapid.Bool().Draw(t, "hidden"), CreatedAt: anyTime.Draw(t, "created"), UpdatedAt: anyTime.Draw(t, "updated"),
		}
		list := rapid.SliceOfN(anyText, -1, 5)
		if rapid.Bool().Draw(t, "tags") {
			img.Tags = list.Draw(t, "tags")
		}
		if rapid.Bool().Draw(t, "stores") {
			img.Stores = list.Draw(t, "stores")
		}
		if rapid.Bool().Draw(t, "properties") {
			img.Properties = rapid.MapOfN(anyText, anyText, -1, 40).Draw(t, "properties")
			switch rapid.IntRange(0, 3).Draw(t, "attributes") {
			case 0:
				img.Properties[PropertyAttributes] = text("no attributes")
			case 1, 2:
				img.Properties[PropertyAttributes] = Attributes{
					ModTime: times.Draw(t, "mtime"), Created: times.Draw(t, "inherited"), UID: numbers.Draw(t, "uid"), GID: numbers.Draw(t, "gid"),
					Mode: rapid.Ptr(rapid.Uint32Range(0, 0o777), true).Draw(t, "mode"),
				}.Encode(img.ID)
			}
		}
		return img
	})
)

// TestPackedRoundTrip: any image can be packed, and comes back as it was.
func TestPackedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { sameAnswers(t, anyImage.Draw(t, "image")) })
}

// TestPackedEqual: records are equal if and only if they are packed.
func TestPackedEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyImage.Draw(t, "a")
		b := anyImage.Draw(t, "b")
		if got, want := Pack(a).Equal(Pack(b)), cmp.Equal(a, b); got != want {
			t.Fatalf("equal %v, not %v", got, want)
		}
	})
	base := realistic(0)
	for what, change := range map[string]func(*Image){
		"id": func(i *Image) { i.ID = strings.ToUpper(i.ID) }, "name": func(i *Image) { i.Name += "x" }, "status": func(i *Image) { i.Status = StatusSaving },
		"visibility": func(i *Image) { i.Visibility = VisibilityPublic }, "owner": func(i *Image) { i.Owner = "x" },
		"disk format": func(i *Image) { i.DiskFormat = "raw" }, "container format": func(i *Image) { i.ContainerFormat = "ovf" },
		"size": func(i *Image) { i.Size++ }, "virtual size": func(i *Image) { i.VirtualSize++ }, "checksum": func(i *Image) { i.Checksum = "" },
		"algo": func(i *Image) { i.HashAlgo = "sha256" }, "hash": func(i *Image) { i.HashValue = strings.ToUpper(i.HashValue) },
		"min disk": func(i *Image) { i.MinDisk++ }, "min ram": func(i *Image) { i.MinRAM++ }, "protected": func(i *Image) { i.Protected = true },
		"hidden": func(i *Image) { i.Hidden = true }, "tags": func(i *Image) { i.Tags = append(i.Tags, "x") }, "stores": func(i *Image) { i.Stores = []string{"x"} },
		"created": func(i *Image) { i.CreatedAt = i.CreatedAt.Add(time.Second) }, "updated": func(i *Image) { i.UpdatedAt = i.UpdatedAt.Add(time.Second) },
		"a value": func(i *Image) { i.Properties["build_pipeline_number"] = "x" }, "one more": func(i *Image) { i.Properties["x"] = "" },
		"one less": func(i *Image) { delete(i.Properties, "build_pipeline_number") },
		"set":      func(i *Image) { i.Properties[PropertyAttributes] = Attributes{Mode: ptr(uint32(0))}.Encode(i.ID) },
	} {
		changed := base.Clone()
		change(&changed)
		if cmp.Equal(base, changed) || Pack(base).Equal(Pack(changed)) {
			t.Errorf("%s: it makes no difference", what)
		}
	}
	if !(Packed{}).Equal(Packed{}) || (Packed{}).Equal(Pack(Image{})) || Pack(Image{}).Equal(Packed{}) {
		t.Error("no record is a record")
	}
}

func TestPackedOddImages(t *testing.T) {
	const id = "138a75f2-9c4b-4fed-8abb-f0d57a256e24"
	told := Attributes{ModTime: ptr(time.Unix(1, 2).UTC())}.Encode(id)
	with := func(properties map[string]string) Image { return Image{ID: id, Properties: properties} }
	for what, img := range map[string]Image{
		"nothing":              {},
		"nothing but lists":    {Tags: []string{}, Stores: []string{}, Properties: map[string]string{}},
		"an id in capitals":    {ID: strings.ToUpper(id)},
		"an id in some":        {ID: strings.ToUpper(id[:20]) + id[20:]},
		"an id that is none":   {ID: "../" + id},
		"numbers at the ends":  {ID: id, Size: math.MaxInt64, VirtualSize: math.MinInt64, MinDisk: -1, MinRAM: math.MaxInt64},
		"a name of a kilobyte": {ID: id, Name: strings.Repeat("中", 765)},
		"a name of digits":     {ID: id, Name: "0123456789abcdef"},
		"a name that is an id": {ID: id, Name: id},
		"no UTF-8":             {ID: id, Name: "\xff\x00", Tags: []string{"\xfe"}},
		"a hash in capitals":   {ID: id, Checksum: "ABCDEF", HashValue: "abc"},
		"a long hash":          {ID: id, HashValue: strings.Repeat("0f", 300)},
		"times apart":          {ID: id, CreatedAt: time.Unix(math.MaxInt64, 0).UTC(), UpdatedAt: time.Unix(math.MinInt64, 0).UTC()},
		"empty texts":          {ID: id, Tags: []string{"", ""}, Stores: []string{""}, Properties: map[string]string{"": ""}},
		"attributes first":     with(map[string]string{PropertyAttributes: told, "z": "last"}),
		"attributes last":      with(map[string]string{PropertyAttributes: told, "a": "first"}),
		"attributes between":   with(map[string]string{PropertyAttributes: told, "a": "first", "z": "last"}),
		"attributes alone":     with(map[string]string{PropertyAttributes: told}),
		"no attributes":        with(map[string]string{PropertyAttributes: Attributes{}.Encode(id), "a": "first", "z": "last"}),
		"another's attributes": with(map[string]string{PropertyAttributes: Attributes{Mode: ptr(uint32(1))}.Encode("x"), "a": "first", "z": "last"}),
		"attributes by hand":   with(map[string]string{PropertyAttributes: `{"id": "` + id + `", "mode": 1}`, "a": "first", "z": "last"}),
		"empty attributes":     with(map[string]string{PropertyAttributes: "", "a": "first", "z": "last"}),
		"a snapshot":           {ID: id, Status: StatusActive, Properties: map[string]string{"a": id, propVolumes: "[{}]", "image_id": strings.ToUpper(id)}},
		"more than the stack":  {ID: id, Tags: many("tag", 128), Stores: many("store", 40), Properties: manyProperties(128)},
	} {
		t.Run(what, func(t *testing.T) { sameAnswers(t, img) })
	}
	var none Packed
	if diff := cmp.Diff(Image{}, none.Unpack()); diff != "" || !none.IsZero() || none.ID() != "" || none.Name() != "" || none.Owner() != "" ||
		none.Size() != 0 || !none.CreatedAt().IsZero() || !none.UpdatedAt().IsZero() || !none.SortTime().IsZero() || none.Status() != "" ||
		none.VolumeBacked() || none.HasData() || !none.Attributes().IsZero() {
		t.Errorf("no record: %s", diff)
	}
	if _, ok := none.UUID(); ok {
		t.Error("no record has an id")
	}
	if _, ok := none.Property("x"); ok {
		t.Error("no record has a property")
	}
	if (Pack(Image{})).IsZero() {
		t.Error("an empty record is none")
	}
}

func TestPackedTimes(t *testing.T) {
	at := time.Now().In(time.FixedZone("east", 2*60*60))
	got := Pack(Image{CreatedAt: at, UpdatedAt: at})
	for _, c := range []time.Time{got.CreatedAt(), got.UpdatedAt(), got.Unpack().CreatedAt, got.Unpack().UpdatedAt} {
		if want := at.Round(0).UTC(); c != want {
			t.Errorf("%#v became %#v", want, c)
		}
	}
}

func many(what string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s %d", what, i)
	}
	return list
}

func manyProperties(n int) map[string]string {
	properties := map[string]string{}
	for i, name := range many("a long name of a property", n) {
		properties[name] = strings.Repeat("v", i)
	}
	return properties
}

func FuzzPacked(f *testing.F) {
	f.Add("138a75f2-9c4b-4fed-8abb-f0d57a256e24", "disk.qcow2", "active", int64(1)<<40, int64(1_700_000_000), int64(5), "0f0f", "a", "b", `{"id":"138a75f2-9c4b-4fed-8abb-f0d57a256e24","mode":420}`)
	f.Add("X", "", "", int64(-1), int64(math.MinInt64), int64(math.MaxInt64), "0F", "imagefs_attributes", "imagefs_attributez", `{"id":"X"}`)
	f.Add("138A75F2-9c4b-4fed-8abb-f0d57a256e24", "\xff", "queued", int64(0), int64(0), int64(0), "", "", "", "")
	f.Fuzz(func(t *testing.T, id, name, word string, size, seconds, nanos int64, digits, key, other, value string) {
		sameAnswers(t, Image{
			ID: id, Name: name, Status: Status(word), Visibility: Visibility(other), Owner: digits, DiskFormat: word, ContainerFormat: key,
			Size: size, VirtualSize: seconds, MinDisk: nanos, MinRAM: -size, Checksum: digits, HashAlgo: word, HashValue: value,
			Protected: size%2 == 0, Hidden: seconds%2 == 0, Tags: strings.Split(value, ","), Stores: strings.Fields(word),
			CreatedAt: time.Unix(seconds, nanos%1e9).UTC(), UpdatedAt: time.Unix(size, 0).UTC(),
			Properties: map[string]string{key: value, other: digits, PropertyAttributes: value, word: id},
		})
	})
}
