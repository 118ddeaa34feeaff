package commit

import (
	"encoding/hex"
	"hash"
	"strings"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// algoSHA512 is what Glance uses unless it is told otherwise.
const algoSHA512 = "sha512"

// parallelFrom is the size in bytes from which hashing a piece in a goroutine pays:
// starting it costs as much as hashing one kibibyte.
const parallelFrom = 16 << 10

// sum is a hash of what is read from the first byte on. A goroutine computes it, for
// reading and sending take as long. A sum belongs to one goroutine at a time.
type sum struct {
	algo string
	hash hash.Hash      // nil where algo is not known here
	size int64          // bytes hashed
	work sync.WaitGroup // the goroutine that hashes the last piece
}

func newSum(algo string) *sum { return &sum{algo: algo, hash: image.NewHash(algo)} }

// add hashes p, which must not change before wait has returned.
func (s *sum) add(p []byte) {
	s.wait()
	s.size += int64(len(p))
	switch {
	case s.hash == nil:
	case len(p) < parallelFrom:
		s.hash.Write(p) // hashes never fail to write
	default:
		s.work.Go(func() { s.hash.Write(p) })
	}
}

// wait waits until what was added is hashed: less than a millisecond.
func (s *sum) wait() { s.work.Wait() }

// hex returns the sum by algo, and whether it was computed.
func (s *sum) hex(algo string) (string, bool) {
	s.wait()
	if s.hash == nil || !strings.EqualFold(algo, s.algo) {
		return "", false
	}
	return hexSum(s.hash), true
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// expected is the algorithm by which the next image will be compared, as far as is known:
// that of the last.
func (c *Committer) expected() string {
	if algo := c.algo.Load(); algo != nil {
		return *algo
	}
	return algoSHA512
}

// expect notes the algorithm by which an image of the service is compared. One that
// was just made outweighs what was known before.
func (c *Committer) expect(algo string, made bool) {
	switch {
	case algo == "":
	case made:
		c.algo.Store(&algo)
	default:
		c.algo.CompareAndSwap(nil, &algo)
	}
}
