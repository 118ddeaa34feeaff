package commit

import (
	"encoding/hex"
	"hash"
	"strings"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// The hashes that most services name, in their words.
const algoMD5, algoSHA512 = "md5", "sha512"

// parallelFrom is the size in bytes from which hashing a piece by several
// goroutines pays: starting them costs as much as hashing one kibibyte.
const parallelFrom = 16 << 10

// sums are hashes of what is read from the first byte on. Of what one upload sends they
// are md5, which every service tells, and the algorithm that it is expected to name as
// os_hash_algo. Each is computed
// by a goroutine of its own, for md5 and sha512 one after the other are slower
// than the service or the network. A sums belongs to one goroutine at a time.
type sums struct {
	hashes map[string]hash.Hash // by algorithm, in lower case
	size   int64                // bytes hashed
	work   sync.WaitGroup       // the goroutines that hash the last piece
}

// newSums computes by these algorithms, as far as they are known here.
func newSums(algos ...string) *sums {
	s := &sums{hashes: map[string]hash.Hash{}}
	for _, algo := range algos {
		if h := image.NewHash(algo); h != nil {
			s.hashes[strings.ToLower(algo)] = h
		}
	}
	return s
}

// add hashes p, which must not change before wait has returned.
func (s *sums) add(p []byte) {
	s.wait()
	s.size += int64(len(p))
	for _, h := range s.hashes {
		if len(p) < parallelFrom {
			h.Write(p) // hashes never fail to write
			continue
		}
		s.work.Go(func() { h.Write(p) })
	}
}

// wait waits until what was added is hashed: less than a millisecond.
func (s *sums) wait() { s.work.Wait() }

// hex returns the sum that the service calls algo, and whether it was computed
// while the bytes were sent.
func (s *sums) hex(algo string) (string, bool) {
	s.wait()
	h, ok := s.hashes[strings.ToLower(algo)]
	if !ok {
		return "", false
	}
	return hexSum(h), true
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// expected is the os_hash_algo that the next image will be given as far as is
// known: the one that the service gave to the last.
func (c *Committer) expected() string {
	if algo := c.algo.Load(); algo != nil {
		return *algo
	}
	return algoSHA512 // what Glance uses unless it is told otherwise
}

// expect notes the os_hash_algo of an image of the service. One that was just
// made outweighs what was known before.
func (c *Committer) expect(algo string, made bool) {
	switch {
	case algo == "":
	case made:
		c.algo.Store(&algo)
	default:
		c.algo.CompareAndSwap(nil, &algo)
	}
}
