package fs

import "time"

// unshown says why no image without data is to be made of the draft, nil where one may
// be. A new file that ended as one which the mount does not show would not be found by
// whoever made it, who would make another one, again and again. What was there before is
// emptied: that can be done but once.
func (d *draft) unshown() error {
	img, _, _ := d.node.look()
	d.mu.Lock()
	fresh := img.IsZero() && d.replaces == nil && d.accepted <= d.settled
	d.mu.Unlock()
	if !fresh || d.bytes.Size() > 0 {
		return nil
	}
	return d.bytes.CheckEmpty()
}

// refuseEmpty fails, in the node's turn, a draft of which no image without data is to be
// made.
func (d *draft) refuseEmpty() error {
	d.mu.Lock()
	taken := d.change
	d.mu.Unlock()
	err := d.unshown()
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.settled, d.failure = taken, err
	}
	return err
}

// leaveUnopened ends the making of a file that nobody has opened.
func (d *draft) leaveUnopened() {
	d.mu.Lock()
	d.unopened = true
	d.mu.Unlock()
	d.node.leave()
	d.leave()
}

// linger keeps, in the node's turn, a file that ended empty and would not show for a
// while after its first writers have gone: what makes a file and opens it again, as
// qemu-img does, finds it. So does what has made it by mknod(2), to set its attributes
// before it opens it, whether it would show or not: they go into the request that creates
// the image. Then it settles again. false: the while is over, or there is no need for it.
func (d *draft) linger() bool {
	shows := d.unshown() == nil
	d.mu.Lock()
	defer d.mu.Unlock()
	if shows && !d.unopened {
		return false
	}
	switch d.lingers {
	case lingered:
		return false
	case notYet:
		d.lingers = lingering
		d.fs.settling.Go(d.lingerOn)
	case lingering:
	}
	d.last = false // who comes joins
	return true
}

// lingerOn waits for the while to be over; the end of the mount ends it.
func (d *draft) lingerOn() {
	while := time.NewTimer(d.fs.opts.waits.linger)
	defer while.Stop()
	select {
	case <-while.C:
	case <-d.fs.hurry:
	case <-d.fs.life.Done():
		return // Server.Abort: the journal tells the next mount
	}
	d.mu.Lock()
	d.lingers = lingered
	d.mu.Unlock()
	d.settle()
}

// lingerState is how far a draft is with its while.
type lingerState int

const (
	notYet lingerState = iota
	lingering
	lingered
)
