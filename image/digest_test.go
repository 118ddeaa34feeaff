package image

import (
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	md5 := strings.Repeat("a", 32)
	sha512 := strings.Repeat("b", 128)
	for _, c := range []struct {
		name string
		img  Image
		want Digest
	}{
		{"os_hash", Image{HashAlgo: "sha512", HashValue: sha512, Checksum: md5}, Digest{Algorithm: "sha512", Value: sha512}},
		{"upper case", Image{HashAlgo: "SHA512", HashValue: strings.ToUpper(sha512)}, Digest{Algorithm: "SHA512", Value: sha512}},
		{"unknown algorithm", Image{HashAlgo: "whirlpool", HashValue: sha512, Checksum: md5}, Digest{Algorithm: "md5", Value: md5}},
		{"too short", Image{HashAlgo: "sha512", HashValue: md5, Checksum: md5}, Digest{Algorithm: "md5", Value: md5}},
		{"no hex", Image{HashAlgo: "md5", HashValue: strings.Repeat("x", 32)}, Digest{}},
		{"none", Image{}, Digest{}},
	} {
		if got := c.img.Digest(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
