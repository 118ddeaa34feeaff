package disk

import (
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Verifying is an image that is read to be compared, in the background or by Examine.
type Verifying struct {
	Key         image.Key
	Done, Total int64 // bytes
	Since       time.Time
}

// Verifying returns what is read so now, in no order.
func (s *Store) Verifying() []Verifying {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Verifying
	for l := range s.reading {
		all = append(all, Verifying{Key: l.of.id.key, Done: l.done.Load(), Total: l.total, Since: l.since})
	}
	return all
}

// reading is how far one of them is.
type reading struct {
	of    *contents
	since time.Time
	total int64        // bytes
	done  atomic.Int64 // bytes
}

// noteReading notes that so many bytes of an image are read, until ended is called.
func (c *contents) noteReading(total int64) (l *reading, ended func()) {
	s := c.store
	l = &reading{of: c, since: s.sys.now(), total: total}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading[l] = struct{}{}
	return l, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.reading, l)
	}
}
