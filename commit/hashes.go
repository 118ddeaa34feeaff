package commit

import (
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

// The hashes that most services name, in their words.
const algoMD5, algoSHA512 = "md5", "sha512"

// parallelFrom is the size in bytes from which hashing a piece by another
// goroutine pays: starting one costs as much as hashing one kibibyte.
const parallelFrom = 16 << 10

// sums are hashes of what is read from the first byte on. Of what one upload sends they
// are md5, which every service tells, and the algorithm that it is expected to name as
// os_hash_algo. They are computed while the bytes are sent: by one goroutine, in turn, as
// long as that keeps up, for a service on the same machine wants the other processors;
// and by one for each where it does not, for md5 and sha512 in turn are slower than a
// fast network. A sums belongs to one goroutine at a time.
type sums struct {
	hashes map[string]hash.Hash // by algorithm, in lower case
	size   int64                // bytes hashed
	work   sync.WaitGroup       // the goroutines that hash the last piece
	pace   pace
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
	switch beside := s.pace.beside(time.Now(), len(p)); {
	case len(p) < parallelFrom:
		s.write(p)
	case !beside:
		s.work.Go(func() { s.write(p) })
	default:
		for _, h := range s.hashes {
			s.work.Go(func() { h.Write(p) })
		}
	}
}

func (s *sums) write(p []byte) {
	for _, h := range s.hashes {
		h.Write(p) // hashes never fail to write
	}
}

// wait waits until what was added is hashed: less than a millisecond.
func (s *sums) wait() {
	begin := time.Now()
	s.work.Wait()
	s.pace.waited += time.Since(begin)
}

// pace says whether the hashes are computed beside each other, by how long the sender
// had to wait for them.
type pace struct {
	parallel bool
	waited   time.Duration // for hashes, since begin
	begin    time.Time     // of the bytes that are judged together
	bytes    int           // of them so far
}

// paceBytes is how many bytes are judged together: more than the socket buffers
// take at once (4 MiB, net.ipv4.tcp_wmem), while which nothing but hashes is waited for.
const paceBytes = 16 << 20

// The share of its time that the sender waits for hashes: from a quarter on, they are
// what holds it up; below a tenth, it has nothing from a second goroutine.
const tooSlow, fastEnough = 4, 10

// beside reports whether a piece of n bytes, which is at hand now, is to be hashed by a
// goroutine for each algorithm.
func (p *pace) beside(now time.Time, n int) bool {
	if p.begin.IsZero() {
		p.begin, p.waited = now, 0
	}
	if p.bytes += n; p.bytes > paceBytes {
		took := now.Sub(p.begin)
		switch {
		case p.waited > took/tooSlow:
			p.parallel = true
		case p.waited < took/fastEnough:
			p.parallel = false
		}
		p.begin, p.waited, p.bytes = now, 0, 0
	}
	return p.parallel
}

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
