package prefetch

import (
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/cache"
)

// Transfer is an image on its way as a whole: loaded, or as the stream of a spool.
type Transfer struct {
	Image       string // id
	Spool       bool   // else it is loaded
	Paused      bool   // a stream that waits for its readers, or for a place
	Done, Total int64  // bytes; a stream may end before, or begin again from 0
	Since       time.Time
}

// Transfers returns what is under way now, in no order.
func (e *Engine) Transfers() []Transfer {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Transfer
	for l := range e.loads {
		all = append(all, Transfer{Image: l.image, Done: l.done.Load(), Total: l.total.Load(), Since: l.since})
	}
	for _, s := range e.spools {
		if t, running := s.transfer(); running {
			all = append(all, t)
		}
	}
	return all
}

// load is how far one Load is.
type load struct {
	image       string // id
	since       time.Time
	done, total atomic.Int64 // bytes
}

// noteLoad notes a Load until ended is called.
func (e *Engine) noteLoad(id string) (l *load, ended func()) {
	l = &load{image: id, since: time.Now()}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loads[l] = struct{}{}
	return l, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.loads, l)
	}
}

// transfer returns how far the stream is; running is false where there is none.
func (s *spool) transfer() (t Transfer, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.file.Size()
	return Transfer{
		Image: s.key.ID, Spool: true, Paused: s.paused || s.began.IsZero(), Done: min(s.pos*cache.BlockSize, size), Total: size, Since: s.began,
	}, s.running
}
