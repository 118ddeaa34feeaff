package fs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What getfattr says of tags makes the same tags when it is set, whatever they contain.
func TestTagsComeBack(t *testing.T) {
	tag := rapid.StringOfN(rapid.SampledFrom([]rune("%2C50 ,\tað")), 1, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfN(tag, 1, 4).Draw(t, "tags")
		text := joinTags(tags)
		got, err := splitTags(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Compact(slices.Sorted(slices.Values(tags))), got); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
	})
}

// Spaces around commas are for the eye.
func TestSplitTags(t *testing.T) {
	for text, want := range map[string]string{
		"": "", " ": "", ",,": "", "b, a": "a|b", " a  b ,c": "a  b|c", "a%2Cb,a%2Cb": "a,b", "%20a%20": " a ", "%2520": "%20", "%": "%",
	} {
		got, err := splitTags(text)
		if err != nil || strings.Join(got.([]string), "|") != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
