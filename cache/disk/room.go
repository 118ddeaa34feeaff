package disk

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// keepFree is the part of the filesystem that is left free: a twentieth.
	keepFree = 20
	// measureEvery, in bytes written, is how often the free space is asked for. Less
	// than the twentieth that is kept free of any disk worth a cache.
	measureEvery = 64 << 20
	// pauseTime is how long nothing is written after an error. Trying costs a system
	// call or a sweep; a disk that was full is rarely free again at once.
	pauseTime = 10 * time.Second
	// sayAgain is how often the log says that the cache takes nothing.
	sayAgain = 10 * time.Minute

	// A sweep makes room for more than was asked for, so that its look at all stamps
	// pays: a sweepPart-th of the limit, and no more than maxSweep, in bytes, for
	// writers wait meanwhile: 2048 blocks, at about 30 µs for each hole.
	sweepPart = 32
	maxSweep  = 256 << 20

	// stampsPerLimit is how many stamps the bytes of a full cache have at least: the
	// blocks of one stamp are half of what a sweep evicts.
	stampsPerLimit = 2 * sweepPart
)

// room counts what is on disk, against what may be.
type room struct {
	used    atomic.Int64 // bytes: blocks, files, and writes under way
	ceiling atomic.Int64 // most bytes: the limit, or less where the disk is nearly full
	since   atomic.Int64 // bytes written since the free space was measured
	paused  atomic.Int64 // nothing is written before; nanoseconds since 1970

	sweep sync.Mutex // one sweep at a time; the first of all locks

	mu   sync.Mutex // guards said
	said time.Time  // when the log last told of a pause
}

// reserve counts n bytes that are about to be written and makes room for them; it
// reports false when there is none. The caller gives them back by subtracting them
// from room.used.
func (s *Store) reserve(n int64) bool {
	if s.pausing() {
		return false
	}
	if s.room.since.Add(n) >= measureEvery {
		s.measure()
	}
	for range 2 { // somebody else may take the room that was made
		if s.room.used.Add(n) <= s.room.ceiling.Load() {
			return true
		}
		s.room.used.Add(-n)
		if !s.makeRoom(n) {
			s.pause("disk cache has no room and takes nothing for a while: the disk is nearly full, or the limit is taken by what is pinned or left alone", nil)
			return false
		}
	}
	return false
}

// measure sets the ceiling by the free space of the filesystem. Where that cannot
// be told, the limit stands.
func (s *Store) measure() {
	s.room.since.Store(0)
	ceiling := s.limit
	if avail, total, err := s.sys.free(s.lock); err == nil {
		ceiling = min(ceiling, s.room.used.Load()+avail-total/keepFree)
	}
	s.room.ceiling.Store(max(0, ceiling))
}

// pausing reports whether nothing is written now.
func (s *Store) pausing() bool { return pauses(s.room.paused.Load(), s.sys.now()) }

// pauses reports whether a pause lasts that ends at until, in nanoseconds since 1970. One
// that is longer than any was before the clock was set back.
func pauses(until int64, now time.Time) bool {
	left := until - now.UnixNano()
	return left > 0 && left <= int64(pauseTime)
}

// pause stops writing for a while. It reports false when somebody else just did.
func (s *Store) pause(why string, err error) bool {
	now := s.sys.now()
	until := s.room.paused.Load()
	if pauses(until, now) || !s.room.paused.CompareAndSwap(until, now.Add(pauseTime).UnixNano()) {
		return false
	}
	s.room.since.Store(measureEvery) // when it goes on, the free space is measured first
	s.room.mu.Lock()
	say := s.room.said.IsZero() || now.Sub(s.room.said) >= sayAgain
	if say {
		s.room.said = now
	}
	s.room.mu.Unlock()
	if !say {
		return true
	}
	args := []any{"used", s.room.used.Load(), "limit", s.limit, "left alone", s.leftBytes}
	if err != nil {
		args = append(args, "err", err)
	}
	s.log.Warn(why, args...)
	return true
}

// makeRoom evicts what was not used for the longest time until n more bytes fit,
// and some more. It reports whether they do. No lock is held.
func (s *Store) makeRoom(n int64) bool {
	s.room.sweep.Lock()
	defer s.room.sweep.Unlock()
	ceiling := s.room.ceiling.Load()
	fits := n <= ceiling
	if !fits {
		n = 0 // in vain, but what is too much goes
	}
	if need := s.room.used.Load() + n - ceiling; need > 0 {
		s.evict(need + s.slack())
	}
	return fits && s.room.used.Load()+n <= ceiling
}

// shrink evicts as much as a sweep does, because the disk is full.
func (s *Store) shrink() {
	s.room.sweep.Lock()
	defer s.room.sweep.Unlock()
	s.evict(s.slack())
}

// slack is what a sweep frees beyond what is needed, in bytes.
func (s *Store) slack() int64 { return min(s.limit/sweepPart, maxSweep) }

// Room returns how many bytes of the images with these keys fit beside what cannot go,
// without one of them being evicted for another: a sweep that ends the others frees more
// than is needed.
func (s *Store) Room(keys map[image.Key]bool) int64 {
	s.measure()
	room := s.room.ceiling.Load() - s.leftBytes - s.slack() - int64(len(keys))*fileCharge
	for _, c := range s.all() {
		if keys[c.id.key] {
			continue
		}
		c.io.RLock()
		if c.pins.count > 0 {
			room -= c.present.Load() * s.blockSize
		}
		c.io.RUnlock()
	}
	return max(0, room)
}
