package image

import (
	"cmp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUUIDRoundTrip(t *testing.T) {
	texts := rapid.StringMatching(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		if rapid.Bool().Draw(t, "the same digits") {
			b = rapid.SampledFrom([]string{a, strings.ToLower(a), strings.ToUpper(a)}).Draw(t, "case")
		}
		x, ok := ParseUUID(a)
		y, too := ParseUUID(b)
		if !ok || !too || x.String() != a || y.String() != b {
			t.Fatalf("%s is %v, %v; %s is %v, %v", a, x, ok, b, y, too)
		}
		if (x == y) != (a == b) || x.Compare(y) != cmp.Compare(a, b) {
			t.Fatalf("%s and %s: equal %v, compare %d", a, b, x == y, x.Compare(y))
		}
	})
}

func TestNoUUID(t *testing.T) {
	for _, text := range []string{
		"", "x", "0b43d455-8d31-409d-ada3-77db1301d11", "0b43d455-8d31-409d-ada3-77db1301d1133", "0b43d455-8d31-409d-ada3-77db1301d11g",
		"0b43d4558-d31-409d-ada3-77db1301d113", "0b43d455-8d31-409d-ada3+77db1301d113", "0b43d455\u00e9\u00e931-409d-ada3-77db1301d113",
		"{b43d455-8d31-409d-ada3-77db1301d11}", "0b43d455-8d31-409d-ada3-77db1301d1-3",
	} {
		if id, ok := ParseUUID(text); ok {
			t.Errorf("%q is %v", text, id)
		}
	}
}
