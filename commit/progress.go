package commit

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Phase says what a commit under way is doing.
type Phase string

// The phases of a commit, in their order.
const (
	Waiting    Phase = "waiting" // for its turn, or between two tries
	Preparing  Phase = "preparing"
	Uploading  Phase = "uploading"
	Checking   Phase = "checking"
	Publishing Phase = "publishing"
)

// Progress is a commit under way.
type Progress struct {
	Draft string    // draft id
	Path  string    // the draft's data file
	Image string    // id of the image that it makes; "" before one was chosen
	Name  string    // image name
	Phase Phase     // what it is doing
	Sent  int64     // bytes handed to the transport in this try
	Size  int64     // bytes in all
	Read  int64     // bytes read beside, to compare hashes: of the image under an edit, or of the draft itself
	Since time.Time // when the commit began

	Behind bool // no close waits for it
}

// progress is the live form of a Progress.
type progress struct {
	sent atomic.Int64
	read atomic.Int64

	mu  sync.Mutex // guards the field below
	now Progress   // without Sent and Read
}

func (p *progress) set(change func(*Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.now)
}

func (p *progress) phase(to Phase) { p.set(func(now *Progress) { now.Phase = to }) }

func (p *progress) get() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now
	now.Sent, now.Read = p.sent.Load(), p.read.Load()
	return now
}

// board holds the commits under way.
type board struct {
	mu     sync.Mutex // guards the field below; a progress's own lock is taken under it
	active map[*progress]struct{}
}

func (b *board) add(p *progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active == nil {
		b.active = map[*progress]struct{}{}
	}
	b.active[p] = struct{}{}
}

func (b *board) remove(p *progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.active, p)
}

func (b *board) list() []Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Progress, 0, len(b.active))
	for p := range b.active {
		all = append(all, p.get())
	}
	slices.SortFunc(all, func(x, y Progress) int {
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Draft, y.Draft))
	})
	return all
}
