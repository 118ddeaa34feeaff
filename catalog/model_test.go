package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// model runs a history and remembers what must stay true of own changes.
type model struct {
	s *service
	c *Catalog

	mu     sync.Mutex
	gone   map[string]bool   // removed by us, never to show again
	named  map[string]string // last changed by us: its name must show
	busy   map[string]bool   // an own change of it is under way
	failed []string
}

func (m *model) errorf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = append(m.failed, fmt.Sprintf(format, args...))
}

// check compares what a listing shows with the own changes that happened before
// it began.
func (m *model) check(list []Entry, gone map[string]bool, named map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range list {
		switch {
		case gone[e.Image.ID()]:
			m.failed = append(m.failed, fmt.Sprintf("%s was removed and shows at %q", e.Image.ID(), e.Name))
		case named[e.Image.ID()] != "" && m.named[e.Image.ID()] == named[e.Image.ID()] && !m.busy[e.Image.ID()] && e.Image.Unpack().Name != named[e.Image.ID()]:
			m.failed = append(m.failed, fmt.Sprintf("%s was renamed to %q and shows at %q", e.Image.ID(), named[e.Image.ID()], e.Name))
		}
	}
}

func (m *model) list(t *testing.T) {
	m.mu.Lock()
	gone, named := maps.Clone(m.gone), maps.Clone(m.named)
	m.mu.Unlock()
	list, err := readAll(t.Context(), m.c.List)
	if err != nil && !image.Is(err, image.Unavailable) {
		m.errorf("List: %v", err)
	}
	m.check(list, gone, named)
}

// read is a list that pauses between the entries.
func (m *model) read(t *testing.T, pause time.Duration) {
	m.mu.Lock()
	gone, named := maps.Clone(m.gone), maps.Clone(m.named)
	m.mu.Unlock()
	l, err := m.c.List(t.Context())
	seen := map[string]int{}
	for i := 0; err == nil; i++ {
		var e Entry
		var ok bool
		if e, ok, err = l.At(t.Context(), i); err != nil || !ok {
			break
		}
		if first, twice := seen[e.Name]; twice {
			m.errorf("%q is %d and %d", e.Name, first, i)
		}
		seen[e.Name] = i
		m.check([]Entry{e}, gone, named)
		time.Sleep(pause)
		back := i / 2
		if e, ok, err := l.At(t.Context(), back); err != nil || !ok || seen[e.Name] != back {
			m.errorf("going back to %d: %q, %v, %v", back, e.Name, ok, err)
		}
	}
	if err != nil && !image.Is(err, image.Unavailable) {
		m.errorf("reading: %v", err)
	}
}

func (m *model) lookup(t *testing.T, entry string) {
	m.mu.Lock()
	gone, named := maps.Clone(m.gone), maps.Clone(m.named)
	m.mu.Unlock()
	e, err := m.c.Lookup(t.Context(), entry)
	if err != nil {
		// What only a listing tells can take longer than a lookup may.
		if !image.Is(err, image.NotFound) && !image.Is(err, image.Unavailable) && !image.Is(err, image.Stalled) {
			m.errorf("Lookup(%q): %v", entry, err)
		}
		return
	}
	m.check([]Entry{e}, gone, named)
}

// foreign reports whether the image may be changed behind the catalog's back
// now, and forgets what we know of its name.
func (m *model) foreign(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[id] || m.gone[id] {
		return false
	}
	delete(m.named, id)
	return true
}

// own runs one own change of an image, if none is under way.
func (m *model) own(id string, change func() (name string, gone bool, err error)) {
	m.mu.Lock()
	if m.busy[id] || m.gone[id] {
		m.mu.Unlock()
		return
	}
	m.busy[id] = true
	delete(m.named, id)
	m.mu.Unlock()
	name, gone, err := change()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, id)
	var refused *image.Error
	switch {
	case err != nil && !errors.As(err, &refused):
		m.failed = append(m.failed, fmt.Sprintf("not our kind of error: %v", err))
	case err != nil:
	case gone:
		m.gone[id] = true
	default:
		m.named[id] = name
	}
}

func (m *model) run(t *testing.T, st step) {
	s, c := m.s, m.c
	s.mu.Lock()
	img, there := s.images[st.id]
	s.mu.Unlock()
	switch st.do {
	case "list":
		m.list(t)
	case "read":
		m.read(t, st.wait%(7*time.Second))
	case "lookup":
		m.lookup(t, EntryName(st.name, st.id))
	case "own rename":
		if name := st.name; there && name != "" && name != img.Name {
			m.own(st.id, func() (string, bool, error) {
				_, err := c.Rename(t.Context(), img, EntryName(name, ""), nil, nil)
				return name, false, err
			})
		}
	case "own remove":
		if there {
			m.own(st.id, func() (string, bool, error) { return "", true, c.Remove(t.Context(), st.id) })
		}
	case "own commit", "own put":
		m.own(st.id, func() (string, bool, error) {
			if there {
				return "", false, failure(image.Exists)
			}
			fresh := st.fresh
			fresh.Hidden, fresh.UpdatedAt = false, stamp(st)
			s.set(fresh)
			if st.do == "own put" {
				c.Put(fresh)
			} else {
				c.Committed("no draft", fresh, "")
			}
			return fresh.Name, false, nil
		})
	case "create":
		if !there && m.foreign(st.id) {
			fresh := st.fresh
			fresh.UpdatedAt = stamp(st)
			s.set(fresh)
		}
	case "drop":
		if m.foreign(st.id) {
			s.drop(st.id)
		}
	case "rename", "hide", "show":
		if there && m.foreign(st.id) {
			img = img.Clone()
			img.UpdatedAt = stamp(st)
			switch st.do {
			case "rename":
				img.Name = st.name
			default:
				img.Hidden = st.do == "hide"
			}
			s.set(img)
		}
	case "accept", "withdraw": // no time of the image tells
		if m.foreign(st.id) {
			s.change(func(s *service) { s.accepted[st.id] = st.do == "accept" })
		}
	case "away":
		s.failing("", failure(image.Unavailable))
	case "back":
		s.failing("", nil)
	case "latency":
		s.slow(st.wait % (3 * time.Second))
	case "passes":
		s.change(func(s *service) { s.passes = st.wait % (40 * time.Second) })
	case "break":
		s.change(func(s *service) { s.broken = failure(image.Unavailable) })
	case "mend":
		s.change(func(s *service) { s.broken = nil })
	case "deaf": // to the question what was changed
		s.failing("since", failure(image.Forbidden))
	case "hears":
		s.failing("since", nil)
	case "again":
		s.change(func(s *service) { s.again = 1 + int(st.wait%4) })
	}
}

// young checks that what others have made or changed is known: all but deletions, and
// shares, for which the whole listing is read.
func (m *model) young(unsure map[string]bool) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for id, img := range m.s.images {
		r := m.c.dir.get(id)
		switch {
		case unsure[id]:
		case !m.s.lists(img):
			shown := img
			shown.Hidden = false
			if r != nil && m.s.lists(shown) {
				m.errorf("after the TTL %s is hidden, and shows", id)
			}
		case r == nil:
			m.errorf("after the TTL %s is not known", id)
		case !r.packed().Equal(image.Pack(img)):
			m.errorf("after the TTL %s is %+v, want %+v", id, r.image(), img)
		}
	}
}

// equal checks that the catalog and the service are equal, listed and looked up.
func (m *model) equal(t *testing.T) {
	list, err := readAll(t.Context(), m.c.List)
	got := map[string]string{}
	for _, e := range list {
		got[e.Name] = e.Image.ID()
	}
	want := m.s.want()
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(got) != len(list) {
		m.errorf("in the end: %v %s", err, diff)
	}
	for entry, id := range want {
		if e, err := m.c.Lookup(t.Context(), entry); err != nil || e.Image.ID() != id {
			m.errorf("in the end Lookup(%q) = %q, %v, want %q", entry, e.Image.ID(), err, id)
		}
	}
	if stats := m.c.Stats(); !stats.Away.IsZero() {
		m.errorf("the service answers: %+v", stats)
	}
}

// end makes foreign changes while the service answers well, and checks what must be
// known after the TTL, and in the end.
func (m *model) end(t *testing.T, steps []step) {
	s := m.s
	s.failing("", nil)
	s.failing("since", nil)
	s.slow(0)
	s.change(func(s *service) { s.broken = nil })
	time.Sleep(refreshBound) // what is on its way arrives
	for range 3 {            // the outage, if there was one, ends
		if _, err := readAll(t.Context(), m.c.List); err != nil {
			m.errorf("List: %v", err)
		}
		time.Sleep(retryAfter)
	}
	unsure := map[string]bool{}
	for _, st := range steps {
		if st.foreign() {
			m.run(t, st)
			if st.do == "accept" || st.do == "withdraw" {
				unsure[st.id] = true
			}
		}
	}
	time.Sleep(DefaultTTL)
	for range 3 { // the first begins what brings it, or waits for it
		if _, err := m.c.List(t.Context()); err != nil {
			m.errorf("List: %v", err)
		}
		time.Sleep(promptPass + time.Second)
	}
	m.young(unsure)
	for entry := range remembered(m.c) {
		was := remembered(m.c)[entry]
		e, err := m.c.Lookup(t.Context(), entry)
		if now := remembered(m.c)[entry]; err != nil && now != "" || e.Image.ID() != now {
			m.errorf("Lookup(%q) = %q, %v; the listing had %q, and has %q", entry, e.Image.ID(), err, was, now)
		}
	}
	for start := time.Now(); time.Since(start) < max(2*DefaultTTL, (passRest+2)*m.c.Stats().Took); {
		time.Sleep(DefaultTTL)
		if _, err := m.c.List(t.Context()); err != nil {
			m.errorf("List: %v", err)
		}
	}
	time.Sleep(refreshBound)
	if _, err := m.c.List(t.Context()); err != nil { // it waits, or begins the last refresh
		m.errorf("List: %v", err)
	}
	synctest.Wait()
	m.equal(t)
}

// TestModel: whatever we and others change, however slow the service is and
// whenever it is away: what we changed shows at once and stays, what others changed
// shows after the TTL, and after the whole listing was read the catalog and the service
// are equal, listed and looked up.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		var filter image.Filter
		if rapid.Bool().Draw(rt, "by status") { // all are; but they could go past a pass
			filter.Statuses = []image.Status{image.StatusActive, image.StatusQueued}
		}
		var failed []string
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			m := &model{s: s, c: newCatalog(t, s, func(o *Options) { o.Filter = filter }), gone: map[string]bool{}, named: map[string]string{}, busy: map[string]bool{}}
			var group sync.WaitGroup
			for _, st := range steps {
				group.Go(func() { m.run(t, st) })
				synctest.Wait() // until it is done or a request of it is on its way: one history, one outcome
				time.Sleep(st.wait)
			}
			group.Wait()
			m.end(t, steps)
			m.mu.Lock()
			failed = slices.Clone(m.failed)
			m.mu.Unlock()
		})
		if len(failed) > 0 {
			rt.Fatalf("%q\nafter %s", failed, describe(steps))
		}
	})
}
