package catalog

import (
	"context"
	"slices"
	"sync"
)

// notifier calls OnChange from one goroutine. Entries wait in a set: an entry
// that changes again before its turn is told once.
type notifier struct {
	call func(string)
	wake chan struct{} // holds one token while there is work

	mu      sync.Mutex // guards the field below
	pending map[string]bool
}

func newNotifier(call func(string)) *notifier {
	return &notifier{call: call, wake: make(chan struct{}, 1), pending: map[string]bool{}}
}

// add queues the entries that are true: the others had no image before. It never
// blocks and takes no lock that a handler holds.
func (n *notifier) add(entries map[string]bool) {
	if n.call == nil || len(entries) == 0 {
		return
	}
	n.mu.Lock()
	for entry, had := range entries {
		if had {
			n.pending[entry] = true
		}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it is awake already
	}
}

// run calls until ctx ends; what is still queued then is dropped: there is no
// mount left to tell.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for _, entry := range n.take() {
			if ctx.Err() != nil {
				return
			}
			n.call(entry)
		}
	}
}

func (n *notifier) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	entries := make([]string, 0, len(n.pending))
	for entry := range n.pending {
		entries = append(entries, entry)
	}
	clear(n.pending)
	slices.Sort(entries) // tests and logs see one order
	return entries
}
