package fs

import (
	"context"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// lookAgain is how often an interrupted request looks whether its caller has been
// told to stop meanwhile: the kernel interrupts a request only once, and a user
// wants the prompt back within a second.
const lookAgain = time.Second

// directoryBound ends what runs under the kernel's lock of a directory: all else
// in that directory waits for it. What an open asks ends no later: it comes right after
// a lookup, and its caller cannot tell the two apart.
const directoryBound = 10 * time.Second

// call is the context of one kernel request. It ends with the mount, and when the
// caller has a signal pending that means stop. A FUSE interrupt alone does not
// end it: the kernel sends one for any signal (a timer, Go's preemption, Ctrl-Z)
// and at unmount.
//
// Nothing is watched until somebody asks for Done, so a request that is answered
// from memory costs no goroutine.
type call struct {
	mount    context.Context // the mount's life and its values
	tid      uint32
	deadline time.Time // zero: none
	// interrupted is closed by go-fuse when the kernel interrupts the request.
	interrupted <-chan struct{}

	mu    sync.Mutex // guards the fields below
	err   error
	ended bool          // end was called: nobody watches any more
	done  chan struct{} // made by the first Done, closed when the context ends
	over  chan struct{} // made with it, closed by end
	left  chan struct{} // made with it, closed when the watcher has ended
}

// begin returns the context of the request that go-fuse handed us as ctx. The
// handler calls end before it answers.
func (f *FS) begin(ctx context.Context) *call {
	c := &call{mount: f.life}
	if k, ok := ctx.(*fuse.Context); ok {
		c.tid, c.interrupted = k.Pid, k.Cancel
	}
	return c
}

// beginBounded is begin for a request that runs under the kernel's lock of a
// directory, or opens a file: its context also ends at directoryBound.
func (f *FS) beginBounded(ctx context.Context) *call {
	c := f.begin(ctx)
	c.deadline = time.Now().Add(directoryBound)
	return c
}

// change is begin for a request that changes something at the service: the log
// line of the change says who asked.
func (f *FS) change(ctx context.Context) (*call, context.Context) {
	c := f.begin(ctx)
	return c, f.withCaller(ctx, c)
}

// changeBounded is change for a request that runs under the kernel's lock of a
// directory.
func (f *FS) changeBounded(ctx context.Context) (*call, context.Context) {
	c := f.beginBounded(ctx)
	return c, f.withCaller(ctx, c)
}

func (f *FS) withCaller(ctx context.Context, c *call) context.Context {
	caller := image.Caller{PID: c.tid, Command: command(c.tid)}
	if k, ok := ctx.(*fuse.Context); ok {
		caller.UID = k.Uid
	}
	return image.WithCaller(c, caller)
}

// end ends the request and waits for its watcher.
func (c *call) end() {
	c.mu.Lock()
	c.ended = true
	over, left := c.over, c.left
	c.mu.Unlock()
	if over != nil {
		close(over)
		<-left
	}
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Value implements context.Context.
func (c *call) Value(key any) any { return c.mount.Value(key) }

// Done implements context.Context.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		switch {
		case c.err != nil:
			close(c.done)
		case !c.ended:
			c.over, c.left = make(chan struct{}), make(chan struct{})
			go c.watch(c.over)
		}
	}
	return c.done
}

// Err implements context.Context. Whoever only looks here, and waits for nothing, has
// started no watcher: so it knows by itself of the mount's end and of the deadline.
func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mount.Err() != nil:
		c.cancelLocked(c.mount.Err())
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		c.cancelLocked(context.DeadlineExceeded)
	}
	return c.err
}

// watch ends the context when the caller has been told to stop.
func (c *call) watch(over <-chan struct{}) {
	defer close(c.left)
	var late <-chan time.Time
	if !c.deadline.IsZero() {
		timer := time.NewTimer(time.Until(c.deadline))
		defer timer.Stop()
		late = timer.C
	}
	interrupted := c.interrupted
	var again <-chan time.Time // runs once the kernel has interrupted the request
	for {
		select {
		case <-over:
			return
		case <-c.mount.Done():
			c.cancel(c.mount.Err())
			return
		case <-late:
			c.cancel(context.DeadlineExceeded)
			return
		case <-interrupted:
			interrupted = nil
			tick := time.NewTicker(lookAgain)
			defer tick.Stop()
			again = tick.C
		case <-again:
		}
		if toldToStop(c.tid) {
			c.cancel(context.Canceled)
			return
		}
	}
}

func (c *call) cancel(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelLocked(err)
}

// cancelLocked ends the context, the first time.
func (c *call) cancelLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
}
