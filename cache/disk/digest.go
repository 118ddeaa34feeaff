package disk

import (
	"encoding/hex"
	"hash"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// digest is the hash that the whole image must have. The zero value: none that can
// be checked.
type digest struct {
	Algorithm string `json:"algorithm,omitempty"` // as in os_hash_algo
	Value     string `json:"value,omitempty"`     // hex, lower case
}

// digestOf returns the strongest hash of the record that can be computed here: its
// os_hash, else its checksum, which is an md5.
func digestOf(img image.Image) digest {
	for _, d := range []digest{{img.HashAlgo, img.HashValue}, {"md5", img.Checksum}} {
		d.Value = strings.ToLower(d.Value)
		if h := d.new(); h != nil {
			return d
		}
	}
	return digest{}
}

// new returns the hash to compute; nil when there is none or its value cannot be
// one of that algorithm.
func (d digest) new() hash.Hash {
	h := image.NewHash(d.Algorithm)
	if h == nil {
		return nil
	}
	if value, err := hex.DecodeString(d.Value); err != nil || len(value) != h.Size() {
		return nil
	}
	return h
}

// matches reports whether the finished h has the wanted value.
func (d digest) matches(h hash.Hash) bool {
	return hex.EncodeToString(h.Sum(nil)) == d.Value
}
