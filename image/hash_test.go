package image

import (
	"encoding/hex"
	"testing"
)

// The words are those of Python's hashlib, from which Glance has them.
func TestNewHash(t *testing.T) {
	for algo, want := range map[string]string{
		"md5":      "d41d8cd98f00b204e9800998ecf8427e",
		"sha1":     "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"SHA-256":  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha224":   "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
		"sha3_224": "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7",
	} {
		h := NewHash(algo)
		if h == nil {
			t.Errorf("%s is not known", algo)
		} else if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s of nothing is %s", algo, got)
		}
	}
	for algo, bytes := range map[string]int{
		"sha384": 48, "sha512": 64, "sha512_224": 28, "sha512-256": 32, "sha3_256": 32, "sha3_384": 48, "sha3_512": 64,
	} {
		if h := NewHash(algo); h == nil || h.Size() != bytes {
			t.Errorf("%s: %v", algo, h)
		}
	}
	for _, algo := range []string{"", "sha", "blake2b", "md5 "} {
		if NewHash(algo) != nil {
			t.Errorf("%q is known", algo)
		}
	}
}
