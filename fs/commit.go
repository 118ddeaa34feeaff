package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// shown is what stat shows of the draft.
func (d *draft) shown(img image.Image) fuse.Attr {
	var out fuse.Attr
	d.fs.fillAttr(&out, img, d)
	return out
}

// take waits for the draft's turn. give passes it on.
func (d *draft) take(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &image.Error{Op: "wait for a commit", Image: d.bytes.ID(), Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

func (d *draft) give() { <-d.turn }

// writerKilled notes that a process which a signal is ending has closed the draft.
func (d *draft) writerKilled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.killed = true
}

// flush is a close by the process that opened the draft.
func (d *draft) flush(ctx context.Context) error {
	d.mu.Lock()
	d.killed = false
	d.mu.Unlock()
	return d.commit(ctx)
}

// commit commits what was written since the last commit. With nothing written
// since, it says how that one ended.
func (d *draft) commit(ctx context.Context) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	d.mu.Lock()
	due, failure := d.wrote > d.settled && !d.unlinked, d.failure
	d.mu.Unlock()
	if due {
		failure = d.commitNow(ctx, d.fs.Committer.Commit)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unlinked {
		return nil // closing a file that was removed is no failure
	}
	return failure
}

// commitNow runs a commit in the draft's turn. It belongs to the daemon, not to
// the request: the kernel cancels requests at unmount. The request only ends it
// when its caller has been told to stop.
func (d *draft) commitNow(ctx context.Context, commit func(context.Context, Draft) (image.Image, error)) error {
	work, cancel := context.WithCancel(d.fs.life)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if caller, ok := image.CallerOf(ctx); ok {
		work = image.WithCaller(work, caller)
	}
	d.mu.Lock()
	d.cancel = cancel
	taken, set := d.change, d.set
	d.mu.Unlock()

	img, err := image.Image{}, d.bytes.SetAttributes(set)
	if err == nil {
		img, err = commit(work, d.bytes)
	}
	if err == nil && img.ID != "" { // none: there was nothing to commit, or it was unlinked
		d.node.replace(img)
	}

	d.mu.Lock()
	d.cancel = nil
	d.settled, d.failure = taken, err
	d.mu.Unlock()
	return err
}

// settle ends the draft once its last writer has gone: it commits what is left to
// commit, and then lets the bytes go or keeps them for the user.
func (d *draft) settle() {
	if err := d.take(d.fs.life); err != nil {
		return // Server.Abort: the journal tells the next mount
	}
	defer d.give()
	for {
		d.node.mu.Lock()
		d.mu.Lock()
		joined := d.writers > 0 || d.closed || (d.unlinked && d.readers > 0)
		due := d.change > d.settled && !d.unlinked && !d.killed
		if !joined && !due {
			d.closed = true
		}
		img := d.node.img
		d.mu.Unlock()
		d.node.mu.Unlock()
		switch {
		case joined:
			return
		case !due:
			d.finish()
			return
		}
		commit := d.fs.Committer.Commit
		if img.ID == "" && !d.bytes.Written() {
			commit = d.fs.Committer.CommitEmpty
		}
		if err := d.commitNow(d.fs.life, commit); err != nil && d.fs.life.Err() != nil {
			return
		}
	}
}

// finish lets the bytes of a settled draft go, or keeps them.
func (d *draft) finish() {
	d.mu.Lock()
	unlinked, killed, failure, entry := d.unlinked, d.killed && d.change > d.settled, d.failure, d.entry
	d.mu.Unlock()
	log := d.fs.log.With("entry", entry, "draft", d.bytes.Path())
	var err error
	switch {
	case unlinked:
		err = d.bytes.Discard()
	case killed:
		log.Warn("its writer was killed: not committed, the draft is kept in staging")
		err = d.bytes.Abandon("its writer was killed by a signal")
	case failure != nil:
		log.Warn("not committed: the draft is kept in staging", "error", failure)
		err = d.bytes.KeepFailed(failure)
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
