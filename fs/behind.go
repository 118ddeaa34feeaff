package fs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

// behind is the wait of a draft whose close was answered for its commit. It is
// guarded by draft.mu.
type behind struct {
	since time.Time
	tries int
	err   error     // of the last try; nil before the first has failed
	next  time.Time // when the next try begins; zero while one runs or waits for a place

	stop   chan struct{}           // closed when the draft has ended
	cancel context.CancelCauseFunc // ends the try that runs; nil when none does
	ended  chan struct{}           // closed when that try has ended
}

// toldCut is after how many tries that a change has ended the log says so: a file that
// is written again more often than its upload takes is never uploaded.
const toldCut = 5

// errOvertaken ends a try whose draft is changed meanwhile; what comes of the change
// is committed later.
var errOvertaken = errors.New("the file is being changed")

// takenLocked is the change up to which no close is missing: the bytes as of then
// are committed, or that has failed, or their close was answered.
func (d *draft) takenLocked() uint64 { return max(d.settled, d.accepted) }

// owedLocked reports whether a close was answered whose commit is still to come, and
// may begin now.
func (d *draft) owedLocked() bool {
	return d.accepted > d.settled && d.accepted == d.change && !d.unlinked && d.doomed == nil
}

// tryingLocked reports whether a try of the commit behind runs.
func (d *draft) tryingLocked() bool { return d.behind != nil && d.behind.cancel != nil }

// interruptLocked ends a try of the commit behind; another one follows when its time
// has come.
func (d *draft) interruptLocked(why error) {
	if d.tryingLocked() {
		d.behind.cancel(why)
	}
}

// touch begins a change of the bytes: a try of the commit behind gives way, and none
// begins until the returned function is called.
func (d *draft) touch() (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changing++
	d.interruptLocked(errOvertaken)
	return func() {
		d.mu.Lock()
		d.changing--
		d.mu.Unlock()
	}
}

// accept answers a close in the draft's turn, before the commit: bytes and journal
// are on the local disk, and the commit is owed.
func (d *draft) accept(ctx context.Context) error {
	d.mu.Lock()
	d.accepting = true
	taken, set := d.change, d.set
	d.mu.Unlock()
	err := d.bytes.Accept(ctx, d.dated(set))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepting = false
	switch {
	case err == nil:
		d.accepted, d.failure, d.unnoted, d.noted = taken, nil, false, set
	case d.fs.life.Err() != nil:
		return err
	case d.accepted > d.settled && image.Is(err, image.Interrupted): // see flush
	case d.accepted > d.settled: // an earlier close was answered: what it closed is not given up for this one
		d.oweLocked(taken, err)
	default:
		d.settled, d.failure = taken, err
	}
	d.waitLocked(time.Now())
	return err
}

// oweLocked goes on trying to commit what was there at a change, after a failure.
func (d *draft) oweLocked(taken uint64, failure error) {
	d.accepted, d.failure, d.unnoted = taken, failure, true
	d.waitLocked(time.Now())
}

// note journals, in the node's turn, that the commit is owed where the last close could
// not (accept).
func (d *draft) note(ctx context.Context) error {
	if err := d.node.take(ctx); err != nil {
		return err
	}
	defer d.node.give()
	d.mu.Lock()
	due, set := d.unnoted && d.owedLocked(), d.set
	d.accepting = due
	d.mu.Unlock()
	if !due {
		return nil
	}
	err := d.bytes.Accept(ctx, d.dated(set))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepting, d.unnoted = false, err != nil
	return err
}

// waitLocked begins the wait for the commit that is owed.
func (d *draft) waitLocked(since time.Time) {
	if d.behind == nil && d.owedLocked() {
		b := &behind{since: since, stop: make(chan struct{})}
		d.behind = b
		d.fs.settling.Go(func() { d.commitBehind(b) })
	}
}

// outcome is how a try of a commit behind went.
type outcome int

const (
	over   outcome = iota // nothing is owed any more, or the daemon ends
	again                 // somebody was faster: soon again
	failed                // see behind.err
)

// commitBehind commits what is owed, and tries until it succeeds or nothing is owed
// any more, as where somebody has deleted what it has made (image.ErrDeletedSince).
func (d *draft) commitBehind(b *behind) {
	f := d.fs
	pauses, how := newPauses(f.opts.waits), again
	d.mu.Lock()
	if b.err != nil { // of the release
		how = failed
	}
	d.mu.Unlock()
	for {
		pause := f.opts.waits.breath
		if how == failed {
			pause = d.tell(b, pauses)
		}
		if !d.rest(b, pause) || !f.place() {
			return
		}
		if how = d.tryBehind(b, sync.OnceFunc(func() { <-f.places })); how == over {
			return
		}
	}
}

// place waits for one of the places of commits behind; false when the daemon ends.
func (f *FS) place() bool {
	select {
	case f.places <- struct{}{}:
		return true
	case <-f.life.Done():
		return false
	}
}

// tryBehind tries the commit once. It takes the node's turn only to publish, so that
// what is being uploaded can be renamed and removed, and have its attributes set. It has
// a place, and leaves it before it waits for another upload of the same file.
func (d *draft) tryBehind(b *behind, leave func()) outcome {
	f, n := d.fs, d.node
	defer leave()
	work, cancel := context.WithCancelCause(f.life)
	defer cancel(nil)
	d.mu.Lock()
	switch {
	case !d.owedLocked() || d.closed:
		d.behind = nil
		d.mu.Unlock()
		leave()
		d.settle()
		return over
	case d.changing > 0:
		d.mu.Unlock()
		return again
	}
	taken := d.accepted
	b.cancel, b.ended, b.next = cancel, make(chan struct{}), time.Time{}
	b.tries++
	d.mu.Unlock()

	turn := false
	img, err := image.Image{}, d.note(work)
	if err == nil {
		img, err = f.Committer.Behind(work, d.bytes, func(ctx context.Context) error {
			if err := n.take(ctx); err != nil {
				return err
			}
			if ctx.Err() != nil { // by whoever had the turn before
				n.give()
				return &image.Error{Op: "commit", Image: n.id(), Kind: image.Interrupted, Err: context.Cause(ctx)}
			}
			turn = true
			return nil
		})
	}
	close(b.ended)
	leave()
	if !turn && n.take(f.life) != nil {
		return over // Server.Abort: the journal tells the next mount
	}
	defer n.give()
	if err == nil {
		err = d.became(work, img, d.attributes())
	}

	d.mu.Lock()
	b.cancel = nil
	switch {
	case err == nil:
		d.cut = 0
	case work.Err() != nil:
		d.cut++
	}
	tell, entry := d.cut == toldCut && work.Err() != nil, d.entry
	deleted := errors.Is(err, image.ErrDeletedSince) && work.Err() == nil // else its journal may not have been told what is owed
	if err == nil || deleted {
		d.settled, d.failure = max(d.settled, taken), err
	}
	if img.ID != "" {
		d.replaces = nil
	}
	owed, ends := d.owedLocked(), f.life.Err() != nil
	switch {
	case ends:
	case !owed:
		d.behind = nil
	case work.Err() == nil:
		b.err = err
	}
	d.mu.Unlock()
	if tell && !ends {
		f.log.Warn("a file is changed again before its upload ends, each time; it is uploaded when it is left alone for long enough",
			"entry", entry, "tries", toldCut, "size", d.bytes.Size(), "draft", d.bytes.Path())
	}
	if under, _ := n.under(); deleted && under != nil {
		f.Catalog.Gone(under.ID) // with what was to replace it
	}
	switch {
	case ends:
		return over
	case !owed:
		d.settleInTurn()
		return over
	case work.Err() != nil:
		return again
	}
	return failed
}

// rest waits until the next try; false when there is to be none. While the mount
// ends, nothing more can come of waiting for another change.
func (d *draft) rest(b *behind, pause time.Duration) bool {
	f := d.fs
	hurry := f.hurry
	select {
	case <-hurry:
		hurry, pause = nil, min(pause, f.opts.waits.hurried)
	default:
	}
	d.mu.Lock()
	b.next = time.Now().Add(pause)
	d.mu.Unlock()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-hurry:
		return true
	case <-b.stop:
		return false
	case <-f.life.Done():
		return false
	}
}
