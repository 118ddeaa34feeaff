package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/imagefs/imagefs/image"
)

// readPage is what parsePage hands over.
func readPage(data []byte) (images []image.Image, bad int, p scannedPage, err error) {
	p, err = parsePage(data, func(img image.Image, id image.UUID, err error) {
		if err != nil {
			bad++
			return
		}
		if id.String() != img.ID {
			panic(fmt.Sprintf("id %s of %s", id, img.ID))
		}
		images = append(images, img)
	})
	return images, bad, p, err
}

func TestParsePage(t *testing.T) {
	good := record(someID, "")
	for text, want := range map[string]struct {
		images, bad int
		next        string
		ok          bool
	}{
		`{"images": []}`: {ok: true},
		` { "first" : {"x": [1e5]}, "images":[` + good + `,` + good + `], "next":null , "schema":""} `: {images: 2, ok: true},
		`{"next": "/v2?marker=\u0041", "im\u0061ges": [5, "x", {}, ` + good + `]}`:                     {images: 1, bad: 3, next: "/v2?marker=A", ok: true},
		`{"images": null}`:                {},
		`{"images": {}}`:                  {},
		`{}`:                              {},
		`null`:                            {},
		`[]`:                              {},
		``:                                {},
		`{"images": []} x`:                {},
		`{"images": [], "next": 5}`:       {},
		`{"images": [], "images": []}`:    {},
		`{"images": [` + good + `}`:       {},
		`{"images": [` + good + `,]}`:     {},
		`{"images": [{"id": "` + "\n\"}]": {},
		`{"images": [` + strings.Repeat("{},", maxPageRecords) + `{}]}`:                                  {bad: maxPageRecords},
		`{"images": [` + strings.Repeat("{},", maxPageRecords-1) + `{}]}`:                                {bad: maxPageRecords, ok: true},
		`{"images": [], "x": ` + strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting) + `}`: {},
	} {
		images, bad, p, err := readPage([]byte(text))
		if (err == nil) != want.ok || want.ok && (len(images) != want.images || bad != want.bad || p.next != want.next) {
			t.Errorf("%.80s: %d images, %d bad, next %q, %v", text, len(images), bad, p.next, err)
		}
	}
}

func TestGuessMarker(t *testing.T) {
	long := strings.Repeat("x", pageTail)
	for text, want := range map[string]string{
		`{"images": [], "first": "/v2/images", "next": "/v2/images?limit=2&marker=` + someID + `&sort=x", "schema": "y"}`: someID,
		`{"images": [], "next" : "\/v2?m\u0061rker=a"}`:                                                                   "a",
		`{"images": [{"next": "/v2?marker=b"}]}`:                                                                          "b", // wrong, and found out later
		`{"images": [{"next": "x"}]}`:                                                                                     "",
		`{"images": [], "next": null}`:                                                                                    "",
		`{"next": "/v2?marker=a", "images": ["` + long + `"]}`:                                                            "",
		`{"images": [], "next": "/v2?marker=` + strings.Repeat("a", maxMarker+1) + `"}`:                                   "",
		`{"images": [], "next": "/v2?marker=`:                                                                             "",
		`{"images": [], "next": "http://[::1/%zz"}`:                                                                       "",
		`"next"`: "",
	} {
		if got := guessMarker([]byte(text)); got != want {
			t.Errorf("%.80s: %q, want %q", text, got, want)
		}
	}
}

// FuzzPage: a page is what encoding/json makes of it, and guessing ahead ends.
func FuzzPage(f *testing.F) {
	for _, seed := range recordSeeds {
		f.Add([]byte(`{"first": "/v2/images", "images": [` + seed + `, 5], "next": "/v2/images?marker=x", "schema": null}`))
	}
	f.Add([]byte(`{"images": [], "next": 5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		guessMarker(data)
		images, bad, p, err := readPage(data)
		records, next, wantErr := slowPage(data)
		if errors.Is(err, errTwoLists) || len(records) > maxPageRecords {
			return // where encoding/json would go on
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		var want []image.Image
		for _, r := range records {
			if img, err := slowRecord(r); err == nil {
				want = append(want, img)
			}
		}
		if diff := cmp.Diff(want, images); diff != "" {
			t.Error(diff)
		}
		if p.next != next || bad != len(records)-len(want) {
			t.Errorf("next %q, want %q; %d bad of %d", p.next, next, bad, len(records))
		}
	})
}

// What is announced as more than anybody wants is not read.
func TestAnnouncedTooLarge(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1099511627776")
		w.WriteHeader(http.StatusOK)
	})
	_, err := list(t, c, Filter{})
	wantKind(t, err, image.UnexpectedAnswer)
	_, err = c.Get(t.Context(), someID)
	wantKind(t, err, image.UnexpectedAnswer)
}
