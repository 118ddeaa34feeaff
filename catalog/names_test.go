package catalog

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

const (
	idA = "1a2b3c4d-0000-4000-8000-00000000000a"
	idB = "1a2b3c4d-0000-4000-8000-00000000000b" // the first digits of idA
	idC = "ffeeddcc-0000-4000-8000-00000000000c"
	idD = "00000001-0000-4000-8000-00000000000d"
)

func TestEntryNameTable(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"disk.qcow2", "disk.qcow2"},
		{"", idA},
		{"a/b", "a%2Fb"},
		{"../../etc", "..%2F..%2Fetc"},
		{".", "%2E"},
		{"..", "%2E."},
		{"...", "..."},
		{".by-id", "%2Eby-id"},
		{".by-id2", ".by-id2"},
		{"a\nb\x00\x7f\x1b", "a%0Ab%00%7F%1B"},
		{"csi\u009b31m", "csi%C2%9B31m"},
		{"100%", "100%"},
		{"100%25", "100%2525"},
		{"%2F", "%252F"},
		{"%zz%f", "%zz%f"},
		{"%/", "%%2F"},
		{"bad\xff", "bad%FF"},
		{"\u202egnp.exe", "\u202egnp.exe"},
		{"e\u0301", "e\u0301"},
		{"中", "中"},
		{strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{strings.Repeat("x", 256), strings.Repeat("x", 246) + "~1a2b3c4d"},
		{strings.Repeat("中", 255), strings.Repeat("中", 82) + "~1a2b3c4d"},
		{strings.Repeat("/", 100), strings.Repeat("%2F", 82) + "~1a2b3c4d"},
	} {
		if got := EntryName(tt.name, idA); got != tt.want {
			t.Errorf("EntryName(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestImageNameTable(t *testing.T) {
	for _, tt := range []struct {
		entry, want string
		kind        image.Kind // with want ""
	}{
		{entry: "disk.qcow2", want: "disk.qcow2"},
		{entry: "a%2Fb", want: "a/b"},
		{entry: "%2E", want: "."},
		{entry: "%2E.", want: ".."},
		{entry: "%2Eby-id", want: ".by-id"},
		{entry: "100%2525", want: "100%25"},
		{entry: "100%", want: "100%"},
		{entry: idA, want: idA},
		{entry: "disk~1a2b3c4d.qcow2", want: "disk~1a2b3c4d.qcow2"},
		{entry: strings.Repeat("x", 255), want: strings.Repeat("x", 255)},
		{entry: strings.Repeat("x", 256), kind: image.NameTooLong},
		{entry: strings.Repeat("中", 86), kind: image.NameTooLong},
		{entry: "", kind: image.InvalidName},
		{entry: ".", kind: image.InvalidName},
		{entry: "..", kind: image.InvalidName},
		{entry: ".by-id", kind: image.InvalidName},
		{entry: "a%2fb", kind: image.InvalidName},   // shows as a%2Fb
		{entry: "%41", kind: image.InvalidName},     // shows as A
		{entry: "a\nb", kind: image.InvalidName},    // shows as a%0Ab
		{entry: "100%25", kind: image.InvalidName},  // shows as 100%
		{entry: "%2E%2E", kind: image.InvalidName},  // shows as %2E.
		{entry: "nul%00", kind: image.InvalidName},  // no database holds it
		{entry: "bad%FF", kind: image.InvalidName},  // not UTF-8
		{entry: "bad\xff", kind: image.InvalidName}, // not UTF-8
		{entry: "😀", kind: image.InvalidName},       // four bytes
	} {
		got, err := ImageName(tt.entry)
		if got != tt.want || (tt.want == "") != (err != nil) || err != nil && image.KindOf(err) != tt.kind {
			t.Errorf("ImageName(%q) = %q, %v; want %q, kind %v", tt.entry, got, err, tt.want, tt.kind)
		}
	}
}

// pieces are what adversarial names are made of.
var pieces = []string{
	"a", "b", ".", "..", "/", "%", "2", "F", "f", "%2F", "%25", "~", "~1a2b3c4d", "~" + idA, "~" + idB, "~2", "~3",
	".qcow2", ".gz", ".x", "中", "é", "e\u0301", "\u009b", "\n", "\x7f", "\u202e", " ", "A", idA, idC, ".by-id", "1a2b3c4d",
	strings.Repeat("x", 240), strings.Repeat("中", 60), strings.Repeat("/", 70),
}

// maxName is the longest name that the service holds, in characters.
const maxName = 255

func drawName(t *rapid.T, label string) string {
	name := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 5).Draw(t, label), "")
	if runes := []rune(name); len(runes) > maxName {
		name = string(runes[:maxName])
	}
	return name
}

func checkEntry(t interface{ Fatalf(string, ...any) }, name, id string) {
	entry := EntryName(name, id)
	switch {
	case entry == "" || entry == "." || entry == ".." || entry == ByIDEntry:
		t.Fatalf("%q shows as %q", name, entry)
	case len(entry) > maxEntry:
		t.Fatalf("%q shows as %d bytes", name, len(entry))
	case strings.ContainsRune(entry, '/') || strings.ContainsFunc(entry, unicode.IsControl):
		t.Fatalf("%q shows as %q", name, entry)
	case !utf8.ValidString(entry):
		t.Fatalf("%q shows as %q, not UTF-8", name, entry)
	}
	if name == "" || len(escape(name)) > maxEntry {
		return // the entry is made of the id
	}
	if back := unescape(entry); back != name {
		t.Fatalf("%q shows as %q, which reads as %q", name, entry, back)
	}
	got, err := ImageName(entry)
	if err == nil && got != name {
		t.Fatalf("%q shows as %q, which creates %q", name, entry, got)
	}
	if holdable := utf8.ValidString(name) && !strings.ContainsFunc(name, unholdable); holdable != (err == nil) {
		t.Fatalf("%q shows as %q: %v", name, entry, err)
	}
}

// checkCreate says of any entry that it is refused, or that the image created at
// it shows there whatever its id.
func checkCreate(t interface{ Fatalf(string, ...any) }, entry string) {
	name, err := ImageName(entry)
	if err != nil {
		if kind := image.KindOf(err); kind != image.InvalidName && kind != image.NameTooLong {
			t.Fatalf("%q: %v", entry, err)
		}
		return
	}
	if got := EntryName(name, idC); got != entry || utf8.RuneCountInString(name) > maxName {
		t.Fatalf("created at %q it shows as %q", entry, got)
	}
}

func TestEntryNameProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for i, draw := range []func(*rapid.T, string) string{drawName, func(t *rapid.T, label string) string {
			return rapid.String().Draw(t, label)
		}} {
			a, b := draw(t, "a"), draw(t, "b")
			checkEntry(t, a, idA)
			checkCreate(t, a)
			checkCreate(t, EntryName(a, idA))
			if a != b && a != "" && b != "" && len(escape(a)) <= maxEntry && len(escape(b)) <= maxEntry && EntryName(a, idA) == EntryName(b, idA) {
				t.Fatalf("%d: %q and %q both show as %q", i, a, b, EntryName(a, idA))
			}
		}
	})
}

func FuzzEntryName(f *testing.F) {
	for _, piece := range pieces {
		f.Add(piece, piece)
	}
	f.Add("%/%25\xff", "%%2F")
	f.Fuzz(func(t *testing.T, name, other string) {
		checkEntry(t, name, idA)
		checkCreate(t, name)
		if name != other && name != "" && other != "" && escape(name) == escape(other) {
			t.Fatalf("%q and %q are both written %q", name, other, escape(name))
		}
	})
}

func FuzzSuffix(f *testing.F) {
	for _, piece := range pieces {
		f.Add(piece, "disk"+piece+".qcow2")
	}
	f.Fuzz(func(t *testing.T, name, entry string) {
		base := EntryName(name, idA)
		for want, e := range map[shape]string{shorted: shortForm(base, idA), whole: wholeForm(base, idA), numbered: numberedForm(base, idA, 12)} {
			s, stem, id, ext := shapeOf(e)
			if s != want || len(e) > maxEntry || !utf8.ValidString(e) || strings.ContainsRune(e, '/') {
				t.Fatalf("%q has shape %v, want %v", e, s, want)
			}
			if len(e) < cutLen && (stem+ext != base || id != idA && id != short(idA)) {
				t.Fatalf("%q is read as %q and %q, want base %q", e, stem+ext, id, base)
			}
		}
		if s, stem, id, ext := shapeOf(entry); s != plain && !strings.HasPrefix(entry, stem+"~"+id) {
			t.Fatalf("%q is read as %v %q %q %q", entry, s, stem, id, ext)
		}
	})
}

func TestSplitExt(t *testing.T) {
	for entry, want := range map[string][2]string{
		"disk.qcow2": {"disk", ".qcow2"}, "a.tar.gz": {"a.tar", ".gz"}, ".qcow2": {".qcow2", ""},
		"Ubuntu 22.04": {"Ubuntu 22.04", ""}, "cirros-0.6.2-x86_64-disk": {"cirros-0.6.2-x86_64-disk", ""},
		"a.": {"a.", ""}, "a.7z": {"a", ".7z"}, "a.verylongone": {"a.verylongone", ""}, "": {"", ""}, "..x": {".", ".x"},
	} {
		if stem, ext := splitExt(entry); stem != want[0] || ext != want[1] {
			t.Errorf("splitExt(%q) = %q, %q", entry, stem, ext)
		}
	}
}

func TestCutLeavesNoHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := escape(drawName(t, "name"))
		limit := rapid.IntRange(0, maxEntry).Draw(t, "limit")
		got := cut(entry, limit)
		if len(got) > limit || !strings.HasPrefix(entry, got) || len(got) < min(len(entry), limit-3) || !utf8.ValidString(got) {
			t.Fatalf("cut(%q, %d) = %q", entry, limit, got)
		}
		if rest := unescape(got) + unescape(entry[len(got):]); rest != unescape(entry) {
			t.Fatalf("cut(%q, %d) = %q divides an escape", entry, limit, got)
		}
	})
}

func TestIsUUID(t *testing.T) {
	good := []string{idA, strings.ToUpper(idA)}
	bad := []string{"", "x", idA + "0", strings.Replace(idA, "-", "0", 1), "../../../../../../../../../etc/passwd", idA[:35] + "/"}
	if !slices.ContainsFunc(good, isUUID) || !isUUID(good[1]) || slices.ContainsFunc(bad, isUUID) {
		t.Errorf("isUUID: %v %v", good, bad)
	}
}

// Who copies a file whose name is no entry learns from the error how it is written.
func TestImageNameSaysHowItIsWritten(t *testing.T) {
	for entry, written := range map[string]string{
		"disk%20one.raw": "disk%2520one.raw",
		"a\nb":           "a%0Ab",
		"a%2fb":          "a%252fb",
	} {
		_, err := ImageName(entry)
		if err == nil || !strings.Contains(err.Error(), written) {
			t.Errorf("ImageName(%q): %v does not say %q", entry, err, written)
		}
		if name, err := ImageName(written); name != entry || err != nil {
			t.Errorf("ImageName(%q) = %q, %v; want %q", written, name, err, entry)
		}
	}
	long := strings.Repeat("x", maxEntry-3) + "%41" // written out it would be too long
	if _, err := ImageName(long); err == nil || strings.Contains(err.Error(), "%2541") {
		t.Errorf("ImageName of a long entry: %v", err)
	}
}
