package fs

import (
	"context"
	"errors"

	"github.com/imagefs/imagefs/image"
)

// take waits for the node's turn: one commit, unlink, rename, change of its record
// or beginning of a draft at a time, in the order of asking. give passes it on.
// What runs out of time here is busy: another one's upload holds it.
func (n *node) take(ctx context.Context) error {
	n.mu.Lock()
	if n.turn == nil {
		n.turn = make(chan struct{}, 1)
	}
	turn := n.turn
	n.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		kind := image.KindOf(ctx.Err())
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			kind = image.Busy
		}
		return &image.Error{Op: "wait for a change under way", Image: n.id(), Kind: kind, Err: ctx.Err()}
	}
}

func (n *node) give() { <-n.turn }

// condemn takes the node's turn to remove what is behind it; a commit under way is
// given up. The caller ends with the verdict: whether it was removed. Until then
// nobody who closes the file is told how that ended, and without a removal the
// draft is committed as if nothing had been.
func (n *node) condemn(ctx context.Context) (verdict func(removed bool), err error) {
	_, d := n.now()
	if d != nil {
		d.doom()
	}
	if err := n.take(ctx); err != nil {
		if d != nil {
			d.decide(false)
		}
		return nil, err
	}
	if _, now := n.now(); now != nil && now != d { // begun while we waited
		if d != nil {
			d.decide(false)
		}
		d = now
		d.doom()
	}
	return func(removed bool) {
		if removed {
			n.mu.Lock()
			n.gone = true
			n.mu.Unlock()
			n.fs.changes.Add(1)
		}
		if d != nil {
			d.decide(removed)
		}
		n.give()
	}, nil
}

// doom ends a commit under way and lets none begin before decide. Only one caller
// at a time: unlink and rename have the kernel's lock of the directory.
func (d *draft) doom() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doomed = make(chan struct{})
	if d.cancel != nil {
		d.cancel(image.ErrRemoval)
	}
	d.interruptLocked(image.ErrRemoval)
}

// decide is the end of doom. A draft that was unlinked is out of the directory and
// never committed; its open files go on with local bytes.
func (d *draft) decide(unlinked bool) {
	if unlinked {
		d.fs.Catalog.RemoveDraft(d.bytes.ID())
		if err := d.bytes.Unlink(); err != nil && !d.ended() { // one that has ended just now has put its bytes away
			d.fs.log.Warn("a removed draft stays in staging until its files are closed", "draft", d.bytes.Path(), "error", err)
		}
	}
	d.mu.Lock()
	d.unlinked = d.unlinked || unlinked
	close(d.doomed)
	d.doomed = nil
	abandoned := d.writers == 0
	d.mu.Unlock()
	if abandoned {
		d.fs.settling.Go(d.settle) // it left this to us
	}
}
