package catalog

import (
	"context"
	"sync"
)

// serial lets one change of an image run at a time, so that what the service
// answered last is also what is put last.
type serial struct {
	mu    sync.Mutex // guards the field below
	turns map[string]*turn
}

// turn is the semaphore of one image, there while someone holds or awaits it.
type turn struct {
	token chan struct{}
	users int
}

// enter waits for the turn of id, with ctx. After a nil error leave must be
// called.
func (s *serial) enter(ctx context.Context, id string) error {
	s.mu.Lock()
	if s.turns == nil {
		s.turns = map[string]*turn{}
	}
	t := s.turns[id]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		s.turns[id] = t
	}
	t.users++
	s.mu.Unlock()
	select {
	case t.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		s.drop(id, t)
		return ctx.Err()
	}
}

func (s *serial) leave(id string) {
	s.mu.Lock()
	t := s.turns[id]
	s.mu.Unlock()
	<-t.token
	s.drop(id, t)
}

func (s *serial) drop(id string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(s.turns, id)
	}
}
