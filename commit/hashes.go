package commit

import (
	"encoding/hex"
	"hash"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// sums are the hashes of what one upload sent. They belong to the goroutine that
// reads the body until the upload has returned.
type sums struct {
	md5, sha512 hash.Hash
	size        int64 // bytes hashed
}

func newSums() *sums { return &sums{md5: image.NewHash(algoMD5), sha512: image.NewHash(algoSHA512)} }

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
