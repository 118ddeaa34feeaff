package image

import (
	"crypto/md5"  // the Image API's checksum: it finds damage, not attackers
	"crypto/sha1" // a service may name it as os_hash_algo
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"
	"strings"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// NewHash returns the hash that a service calls algo (hashlib's words, as in
// os_hash_algo), or nil when it is not known here. Of what hashlib has everywhere
// only the two shakes are missing: their length is not part of the name, so that no
// service can use them.
func NewHash(algo string) hash.Hash {
	switch strings.ToLower(strings.ReplaceAll(algo, "-", "_")) {
	case "md5":
		return md5.New()
	case "sha1", "sha_1":
		return sha1.New()
	case "sha224", "sha_224":
		return sha256.New224()
	case "sha256", "sha_256":
		return sha256.New()
	case "sha384", "sha_384":
		return sha512.New384()
	case "sha512", "sha_512":
		return sha512.New()
	case "sha512_224":
		return sha512.New512_224()
	case "sha512_256":
		return sha512.New512_256()
	case "sha3_224":
		return sha3.New224()
	case "sha3_256":
		return sha3.New256()
	case "sha3_384":
		return sha3.New384()
	case "sha3_512":
		return sha3.New512()
	case "blake2b", "blake2b512", "blake2b_512":
		return unkeyed(blake2b.New512)
	case "blake2s", "blake2s256", "blake2s_256":
		return unkeyed(blake2s.New256)
	default:
		return nil
	}
}

// unkeyed makes a hash that could be keyed and is not. Only a key can be refused.
func unkeyed(make func(key []byte) (hash.Hash, error)) hash.Hash {
	h, err := make(nil)
	if err != nil {
		return nil
	}
	return h
}
