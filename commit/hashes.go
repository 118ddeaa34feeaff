package commit

import (
	"crypto/md5"  // the Image API's checksum: it finds damage, not attackers
	"crypto/sha1" // a service may name it as os_hash_algo
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
)

// newHash returns the hash that a service calls algo (hashlib's words, as in
// os_hash_algo), or nil when it is not known here.
func newHash(algo string) hash.Hash {
	switch strings.ToLower(strings.ReplaceAll(algo, "-", "_")) {
	case algoMD5:
		return md5.New()
	case "sha1", "sha_1":
		return sha1.New()
	case "sha224", "sha_224":
		return sha256.New224()
	case "sha256", "sha_256":
		return sha256.New()
	case "sha384", "sha_384":
		return sha512.New384()
	case algoSHA512, "sha_512":
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
	default:
		return nil
	}
}

// sums are the hashes of what one upload sent. They belong to the goroutine that
// reads the body until the upload has returned.
type sums struct {
	md5, sha512 hash.Hash
	size        int64 // bytes hashed
}

func newSums() *sums { return &sums{md5: newHash(algoMD5), sha512: newHash(algoSHA512)} }

// add hashes p. Hashes never fail to write.
func (s *sums) add(p []byte) {
	s.md5.Write(p)
	s.sha512.Write(p)
	s.size += int64(len(p))
}

// hex returns the sum that the service calls algo, and whether it was computed
// while the bytes were sent.
func (s *sums) hex(algo string) (string, bool) {
	switch strings.ToLower(algo) {
	case algoMD5:
		return hexSum(s.md5), true
	case algoSHA512:
		return hexSum(s.sha512), true
	default:
		return "", false
	}
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
