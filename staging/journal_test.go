package staging

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

const someDraft = "3d9a9a60-c320-4b38-8cb3-58b16b5aeeb4"

func someJournal() journal {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	mode, uid, gid := uint32(0o640), uint32(1), uint32(0)
	j := journal{
		Record: Record{
			Version: journalVersion, Draft: someDraft, Image: "i", Name: "a\"b ü", Entry: "e", Service: service,
			Project: "p", State: StateUploaded, Unlinked: true, Replaces: "r", Into: "q", Base: "b", Inherit: "h",
			Cloud: "c", BaseVersion: "sha512:aa", Unsure: true, Closed: true, Uncertain: true,
			Inherited: &image.Image{
				ID: "h", Name: "x", Visibility: image.VisibilityShared, Owner: "o", DiskFormat: "raw", ContainerFormat: "bare",
				MinDisk: 1, MinRAM: 2, Hidden: true, Tags: []string{"t"}, Properties: map[string]string{"k": "v"}, CreatedAt: at,
			},
			Size: 100, Reason: "why", Boot: "boot", Synced: true, CreatedAt: at, UpdatedAt: at,
			Attributes: image.Attributes{ModTime: &at, Mode: &mode, UID: &uid, GID: &gid, Created: &at},
		},
		layer: layer{limit: 90},
	}
	j.ext.add(0, 10)
	j.ext.add(80, 90)
	return j
}

var sameJournal = cmp.AllowUnexported(journal{}, layer{}, extents{}, extent{})

func TestJournalRoundTrip(t *testing.T) {
	over := someJournal()
	bare := over
	bare.Base, bare.layer, bare.Attributes, bare.Inherited = "", layer{}, image.Attributes{}, nil
	for _, j := range []journal{over, bare} {
		text, err := j.encode()
		must(t, err)
		got, err := parseJournal(text, someDraft)
		must(t, err)
		if diff := cmp.Diff(j, got, sameJournal); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
}

// TestJournalFormat pins the text: another version of imagefs reads it.
func TestJournalFormat(t *testing.T) {
	j := someJournal()
	text, err := j.encode()
	must(t, err)
	const want = `{"verdict":"        ","version":1,"draft":"3d9a9a60-c320-4b38-8cb3-58b16b5aeeb4","image":"i","name":"a\"b ü","entry":"e",` +
		`"service":"http://glance.test/v2","project":"p","cloud":"c","state":"uploaded","unlinked":true,"replaces":"r","into":"q",` +
		`"base":"b","base_version":"sha512:aa","inherit":"h","size":100,"reason":"why","unsure":true,"boot":"boot","synced":true,` +
		`"closed":true,"uncertain":true,` +
		`"created_at":"2026-01-02T03:04:05.0000006Z","updated_at":"2026-01-02T03:04:05.0000006Z",` +
		`"attributes":{"mtime":"2026-01-02T03:04:05.0000006Z","mode":416,"uid":1,"gid":0,"created":"2026-01-02T03:04:05.0000006Z"},` +
		`"inherited":{"id":"h","name":"x","visibility":"shared","owner":"o","disk_format":"raw","container_format":"bare",` +
		`"min_disk":1,"min_ram":2,"hidden":true,"tags":["t"],"properties":{"k":"v"},"created_at":"2026-01-02T03:04:05.0000006Z"},` +
		`"layer":{"limit":90,"extents":[0,10,70,10]}}` + "\n"
	if string(text) != want {
		t.Errorf("got  %swant %s", text, want)
	}
}

// FuzzParseJournal: no text makes the parser fail otherwise than by an error of
// one line, and what it accepts it writes again.
func FuzzParseJournal(f *testing.F) {
	j := someJournal()
	text, err := j.encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(text), string(text[:40]), "", "null", "{}", `{"version":2}`, `{"version":1e99}`,
		strings.Replace(string(text), "[0,10,70,10]", "[0,10,9223372036854775807,1]", 1),
		strings.Replace(string(text), "[0,10,70,10]", "null", 1),
		strings.Replace(string(text), `"limit":90`, `"limit":-1`, 1),
		strings.Replace(string(text), `"mode":416`, `"mode":-1`, 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := parseJournal(text, someDraft)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || err.Error() == "" {
				t.Fatalf("the error %q", err)
			}
			return
		}
		if j.Version != journalVersion || j.Draft != someDraft || !j.State.known() || j.Size < 0 || j.limit < 0 {
			t.Fatalf("accepted %+v", j)
		}
		for _, list := range j.ext.runs {
			for _, x := range list {
				if x.off < 0 || x.end > j.limit || x.off >= x.end {
					t.Fatalf("accepted the extent %v below %d", x, j.limit)
				}
			}
		}
		again, err := j.encode()
		must(t, err)
		got, err := parseJournal(again, someDraft)
		must(t, err)
		if diff := cmp.Diff(j, got, sameJournal, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestReasonIsOneBoundedLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		got := oneLine(strings.Repeat(text, rapid.IntRange(1, 2000).Draw(t, "times")))
		if len(got) > maxReason || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n") {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
	})
	if got := oneLine(" a\n\tb\xff "); got != "a b�" {
		t.Errorf("%q", got)
	}
}

// A journal that could not be read again is refused as a full disk is.
func TestJournalTooLong(t *testing.T) {
	j := someJournal()
	text, err := j.encode()
	must(t, err)
	must(t, j.fits(len(text), len(text)))
	wantKind(t, j.fits(len(text), len(text)-1), image.LocalFull)
}
