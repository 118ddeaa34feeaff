package image

import (
	"encoding/hex"
	"hash"
	"strings"
)

// Digest is a hash that all bytes of an image must have. The zero value: none that can be
// computed here.
type Digest struct {
	Algorithm string `json:"algorithm,omitempty"` // as in os_hash_algo
	Value     string `json:"value,omitempty"`     // hex, lower case
}

// Digest is the strongest hash of the record that can be computed here: its os_hash, else
// its checksum, which is an md5.
func (i Image) Digest() Digest {
	for _, d := range []Digest{{i.HashAlgo, i.HashValue}, {"md5", i.Checksum}} {
		d.Value = strings.ToLower(d.Value)
		if h := d.New(); h != nil {
			return d
		}
	}
	return Digest{}
}

// New returns the hash to compute; nil when there is none or its value cannot be
// one of that algorithm.
func (d Digest) New() hash.Hash {
	h := NewHash(d.Algorithm)
	if h == nil {
		return nil
	}
	if value, err := hex.DecodeString(d.Value); err != nil || len(value) != h.Size() {
		return nil
	}
	return h
}

// Matches reports whether the finished h has the wanted value.
func (d Digest) Matches(h hash.Hash) bool {
	return hex.EncodeToString(h.Sum(nil)) == d.Value
}
