package fs

import (
	"sync"

	gofs "github.com/hanwen/go-fuse/v2/fs"
)

// notifier sends the kernel's notifications, all of them from one goroutine: sent
// from a handler, or under a lock that a handler takes, they deadlock the mount.
// (attributesChanged is the exception.)
type notifier struct {
	wake chan struct{} // holds a token while there is something to send
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex // guards the fields below
	entries  map[string]struct{}
	contents map[*node]struct{}
}

func newNotifier() *notifier {
	return &notifier{
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		entries: make(map[string]struct{}), contents: make(map[*node]struct{}),
	}
}

// entry asks the kernel to look the name up again. It never waits.
func (n *notifier) entry(name string) {
	n.mu.Lock()
	n.entries[name] = struct{}{}
	n.mu.Unlock()
	n.signal()
}

// content asks the kernel to drop the pages of a node. It never waits.
func (n *notifier) content(of *node) {
	n.mu.Lock()
	n.contents[of] = struct{}{}
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run sends until close is called.
func (n *notifier) run(root *gofs.Inode) {
	defer close(n.done)
	for {
		select {
		case <-n.stop:
			return
		case <-n.wake:
		}
		n.mu.Lock()
		entries, contents := n.entries, n.contents
		n.entries, n.contents = make(map[string]struct{}), make(map[*node]struct{})
		n.mu.Unlock()
		for of := range contents {
			of.notifyContent(0)
		}
		for name := range entries {
			root.NotifyEntry(name) //nolint:errcheck // an error: the kernel does not know the entry
		}
	}
}

// close ends run and waits for it.
func (n *notifier) close() {
	close(n.stop)
	<-n.done
}

// attributesChanged makes the kernel ask for the node's attributes again: setxattr(2)
// makes it forget the ctime only, but the write bits may have come or gone. It may be
// sent from a handler, and has to be, lest the caller's next stat be answered before
// it: a negative offset leaves the pages alone, and so waits for no lock of the kernel
// that a request holds.
func (n *node) attributesChanged() {
	n.notifyContent(-1)
}

// notifyContent tells the kernel, if it knows the node: one that was never looked up,
// as a draft's that was found at mount, is not in go-fuse's tree.
func (n *node) notifyContent(off int64) {
	if n.inTree.Load() {
		n.NotifyContent(off, 0) //nolint:errcheck // an error: the kernel has forgotten it
	}
}
