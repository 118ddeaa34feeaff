package commit

import (
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	busy   atomic.Int64         // nanoseconds that they have taken together
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
	each := slices.Collect(maps.Values(s.hashes))
	switch beside := s.pace.beside(time.Now(), len(p), time.Duration(s.busy.Load())); {
	case len(p) < parallelFrom:
		s.write(p, each...)
	case beside:
		for _, h := range each {
			s.work.Go(func() { s.write(p, h) })
		}
	default:
		s.work.Go(func() { s.write(p, each...) })
	}
}

func (s *sums) write(p []byte, each ...hash.Hash) {
	begin := time.Now()
	for _, h := range each {
		h.Write(p) // hashes never fail to write
	}
	s.busy.Add(int64(time.Since(begin)))
}

// wait waits until what was added is hashed: less than a millisecond.
func (s *sums) wait() {
	begin := time.Now()
	s.work.Wait()
	s.pace.waited += time.Since(begin)
}

// pace says whether the hashes are computed beside each other: from when the sender has to
// wait for them in turn, until they would keep up with it again.
type pace struct {
	parallel bool
	waited   time.Duration // for hashes, since begin
	begin    time.Time     // of the bytes that are judged together
	busy     time.Duration // that all hashing had taken then
	bytes    int           // of them so far
}

// paceBytes is how many bytes are judged together: more than the socket buffers
// take at once (4 MiB, net.ipv4.tcp_wmem), while which nothing but hashes is waited for.
const paceBytes = 16 << 20

// Parts of the time that the bytes take: hashes that are waited for longer than tooLong
// hold the sender up; those that need less than spare in all would not, one after the
// other.
const tooLong, spare = 0.25, 0.7

// beside reports whether a piece of n bytes, which is at hand now, is to be hashed by a
// goroutine for each algorithm. busy is how long all hashing has taken, on any processor.
func (p *pace) beside(now time.Time, n int, busy time.Duration) bool {
	if p.begin.IsZero() {
		p.begin, p.busy, p.waited = now, busy, 0
	}
	if p.bytes += n; p.bytes > paceBytes {
		took := float64(now.Sub(p.begin))
		if p.parallel {
			p.parallel = float64(busy-p.busy) > spare*took
		} else {
			p.parallel = float64(p.waited) > tooLong*took
		}
		p.begin, p.busy, p.waited, p.bytes = now, busy, 0, 0
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
