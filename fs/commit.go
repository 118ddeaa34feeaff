package fs

import (
	"context"
	"errors"
	"time"

	"github.com/imagefs/imagefs/image"
)

// writerKilled notes that a process which a signal is ending, for sure or perhaps,
// has closed the handle. One through which nothing is due leaves nothing half done.
func (d *draft) writerKilled(by *handleChanges, sure bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if max(by.changed, d.cached) > d.takenLocked() {
		d.killedLocked(sure)
	}
}

func (d *draft) killedLocked(sure bool) { d.killed, d.unsure, d.killedAt = true, !sure, d.change }

// flush is a close of the handle by the process that opened it; visible says whether
// that process can be looked at.
func (d *draft) flush(ctx context.Context, by *handleChanges, visible bool) error {
	d.mu.Lock()
	// What a killed writer has left is made good by who has written as well, or has
	// emptied the file since.
	if taken := d.takenLocked(); max(by.wrote, d.cached) > taken || by.changed > max(taken, d.killedAt) {
		d.killed = false
	}
	d.mu.Unlock()
	err := d.commit(ctx, by)
	if image.Is(err, image.Interrupted) && d.fs.life.Err() == nil { // maybe before its turn came
		d.mu.Lock()
		d.killedLocked(visible)
		d.mu.Unlock()
	}
	return err
}

// commit commits the draft if the handle's close has something to commit, or answers
// before (--writeback). Else it says how the last commit ended, and waits for nothing.
func (d *draft) commit(ctx context.Context, by *handleChanges) error {
	for {
		d.mu.Lock()
		written, unlinked, failure := d.missesLocked(by), d.unlinked, d.failure
		d.mu.Unlock()
		switch {
		case unlinked:
			return nil // closing a file that was removed is no failure
		case !written:
			return failure
		}
		if err := d.node.take(ctx); err != nil {
			return err
		}
		wait, err := d.commitDue(ctx, by)
		d.node.give()
		if wait == nil {
			return err
		}
		select { // its entry is being removed: whether it was, decides what close returns
		case <-wait:
		case <-ctx.Done():
			return &image.Error{Op: "wait for a removal", Image: d.node.id(), Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
		}
	}
}

// commitDue is commit in the node's turn. Where the entry is being removed, it
// returns what is closed when that has ended.
func (d *draft) commitDue(ctx context.Context, by *handleChanges) (doomed <-chan struct{}, err error) {
	for {
		d.mu.Lock()
		due, err := d.missesLocked(by) && !d.unlinked && d.doomed == nil, d.failure
		heard := !by.unheard
		d.mu.Unlock()
		if due {
			err = d.refuseEmpty()
		}
		switch {
		case !due || err != nil:
		case d.fs.opts.Writeback:
			err = d.accept(ctx)
		default:
			err = d.commitNow(ctx, d.fs.Committer.Commit, heard)
		}
		d.mu.Lock()
		doomed, unlinked := d.doomed, d.unlinked
		d.mu.Unlock()
		switch {
		case doomed != nil:
			return doomed, nil
		case unlinked:
			return nil, nil
		case !errors.Is(err, image.ErrRemoval):
			return nil, err
		} // it gave way to a removal that has failed since
	}
}

// commitNow runs a commit in the draft's turn. It belongs to the daemon, not to
// the request: the kernel cancels requests at unmount. The request only ends it
// when its caller has been told to stop. One that has given way to a removal returns
// image.ErrRemoval; the bytes are due again unless that succeeds. heard: some program is told
// how it ends; else what passes is tried again behind, and finish or commitBehind tells.
func (d *draft) commitNow(ctx context.Context, commit func(context.Context, Draft) (image.Image, error), heard bool) error {
	work, cancel := context.WithCancelCause(d.fs.life)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(d.fs.life)) })()
	if caller, ok := image.CallerOf(ctx); ok {
		work = image.WithCaller(work, caller)
	}
	if !heard {
		work = image.Quietly(work)
	}
	if err := d.overtake(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.cancel = cancel
	if d.doomed != nil {
		cancel(image.ErrRemoval)
	}
	d.mu.Unlock()
	taken, asked := d.carried()

	img, err := image.Image{}, d.journal(asked)
	if err == nil {
		img, err = commit(work, d.bytes)
	}
	if err == nil {
		err = d.became(work, img, asked)
	}
	now, _, _ := d.node.look()
	none := now.IsZero()
	// The cause tells, for the removal may have failed before the commit had ended.
	gaveWay := err != nil && errors.Is(context.Cause(work), image.ErrRemoval)
	if gaveWay && !errors.Is(err, image.ErrRemoval) {
		err = errors.Join(err, image.ErrRemoval)
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if img.ID != "" {
		d.replaces = nil
	}
	d.cancel = nil
	switch {
	case gaveWay:
	case err != nil && ctx.Err() != nil: // told to stop, as before its turn (see flush); or the daemon ends: the next one goes on
	case err != nil && d.accepted > d.settled && !image.Is(err, image.Interrupted): // as in accept
		d.oweLocked(taken, err)
	case err != nil && !heard && !refusal(image.KindOf(err)):
		d.oweLocked(taken, err)
		if d.behind != nil {
			d.behind.err = err
		}
	case err == nil && none: // no byte that differs from none: the release makes it an empty image
	default:
		d.settled, d.failure = taken, err
	}
	return err
}

// became puts the image that a commit has made behind the node, in the node's turn;
// none (its id is ""), where there was nothing to commit or the draft was unlinked.
func (d *draft) became(ctx context.Context, img image.Image, asked image.Attributes) error {
	switch {
	case img.ID == "":
		return d.keep(ctx, asked)
	case img.Status == image.StatusQueued: // it may have been there before, and is empty again
		d.node.replace(img)
		return d.keep(ctx, d.dated(asked))
	}
	d.node.replace(img)
	d.tookSettings()
	return nil
}

// keep stores what was set on a draft of which no byte had to be committed, in the
// node's turn.
func (d *draft) keep(ctx context.Context, set image.Attributes) error {
	if err := d.keepSettings(ctx); err != nil {
		return err
	}
	return d.keepAttributes(ctx, set)
}

// keepAttributes stores what was set on a draft of which no byte had to be
// committed, in the node's turn.
func (d *draft) keepAttributes(ctx context.Context, set image.Attributes) error {
	img, _ := d.node.now()
	d.mu.Lock()
	unlinked := d.unlinked
	d.mu.Unlock()
	if unlinked || img.ID == "" {
		return nil
	}
	set, err := d.node.allowed(img, set)
	if err != nil || set.IsZero() {
		return err
	}
	return d.node.store(ctx, img, set)
}

// overtake ends a try of the commit behind before another commit of the draft begins,
// in the node's turn: their journals must not mix.
func (d *draft) overtake(ctx context.Context) error {
	d.mu.Lock()
	d.interruptLocked(errOvertaken)
	var ended <-chan struct{}
	if d.tryingLocked() {
		ended = d.behind.ended
	}
	d.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return &image.Error{Op: "wait for the upload behind", Image: d.node.id(), Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

// settle ends the draft once its last writer has gone: it commits what is left to
// commit, or answers for it (--writeback), and then lets the bytes go or keeps them
// for the user.
func (d *draft) settle() {
	if err := d.node.take(d.fs.life); err != nil {
		return // Server.Abort: the journal tells the next mount
	}
	defer d.node.give()
	d.settleInTurn()
}

func (d *draft) settleInTurn() {
	behind := d.fs.opts.Writeback
	for {
		d.node.mu.Lock()
		d.mu.Lock()
		joined := d.writers > 0 || d.closed || d.doomed != nil || d.unlinked && d.node.open > 0 // who has it open keeps its bytes
		due := d.change > d.takenLocked() && !d.unlinked && !d.killed
		owed := d.owedLocked()
		wait := joined || !due && (owed || d.tryingLocked()) // for commitBehind, which settles again
		d.closed = d.closed || !wait && !due
		d.last = !wait && due && !behind
		if owed {
			d.waitLocked(time.Now())
		}
		img := d.node.img
		d.mu.Unlock()
		d.node.mu.Unlock()
		switch {
		case wait:
			return
		case !due:
			d.finish()
			return
		case d.linger():
			return
		case d.refuseEmpty() != nil:
			continue
		case behind:
			if err := d.accept(d.fs.life); err != nil && d.fs.life.Err() != nil {
				return
			}
			continue
		}
		commit := d.fs.Committer.Commit
		if img.IsZero() && !d.bytes.Written() {
			commit = d.fs.Committer.CommitEmpty
		}
		if err := d.commitNow(d.fs.life, commit, false); err != nil && d.fs.life.Err() != nil {
			return
		}
	}
}

// finish lets the bytes of a settled draft go, or keeps them.
func (d *draft) finish() {
	d.mu.Lock()
	unlinked, killed, unsure, failure, entry := d.unlinked, d.killed && d.change > d.takenLocked(), d.unsure, d.failure, d.entry
	promised := d.accepted > d.settled // under what the killed writer has changed lies what a close was answered for
	if d.behind != nil {
		close(d.behind.stop)
		d.behind = nil
	}
	d.mu.Unlock()
	d.fs.changes.Add(1)
	log := d.fs.log.With("entry", entry, "draft", d.bytes.Path())
	var err error
	switch {
	case unlinked, killed && !d.bytes.Written():
		err = d.bytes.Discard()
	case killed:
		why := "its writer was killed by a signal"
		if unsure {
			why = "its writer may have been killed by a signal: that cannot be seen from here"
		}
		if promised {
			why += "; it has written to a file whose close was answered and which was not uploaded yet"
		}
		log.Warn("not committed: the draft is kept in staging", "reason", why)
		err = errors.Join(d.journal(d.attributes()), d.bytes.Abandon(why, !unsure && !promised))
	case errors.Is(failure, image.ErrUnshown) && d.bytes.Size() == 0:
		log.Warn("an empty file is not made an image", "reason", failure)
		err = errors.Join(d.bytes.Unlink(), d.bytes.Discard()) // as where it is removed: a commit of what was written may have left something
	case failure != nil:
		log.Warn("not committed: the draft is kept in staging", "error", failure)
		err = errors.Join(d.journal(d.attributes()), d.bytes.KeepFailed(failure))
	default:
		err = d.bytes.Discard()
	}
	if err != nil {
		log.Error("the draft's journal could not be brought up to date", "error", err)
	}
	d.forget()
	d.node.mu.Lock()
	d.node.draft = nil
	d.node.mu.Unlock()
	if killed || failure != nil {
		// The entry is what it was before, and the kernel has pages of the draft.
		d.fs.notifier.content(d.node)
		d.fs.notifier.entry(entry)
	}
}
