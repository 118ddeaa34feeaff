package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const (
	// recoveredAtOnce is how many drafts of earlier runs are settled at once: as many
	// as uploads run at once, of which they get all but one.
	recoveredAtOnce = 4
	// recoverFirst is the mean of the wait after the first round of tries that left some
	// undone, and recoverMost the longest: a service that was away for long is asked
	// every five minutes.
	recoverFirst = 5 * time.Second
	recoverMost  = 5 * time.Minute
	// lookEvery is how often staging is looked through for what others had, or another
	// daemon was about, and have let go of since: nobody tells of that.
	lookEvery = 5 * time.Minute
	// keepEvery is how often what was refused is tried again, and what is old enough goes.
	keepEvery = time.Hour
)

// keptStore is the staging directory as the recovery needs it.
type keptStore interface {
	Kept() ([]staging.Record, error)
	Renames() ([]staging.Rename, error)
	ExpireAbandoned(before time.Time) ([]staging.Record, error)
}

// resumer goes on with one draft that an earlier run left and whose commit is owed,
// or of which something has to be cleared away. It returns when that is settled, or has failed this
// time, or with errElsewhere; commit.ErrMayCome: it is to be looked at again. ctx ends the work.
type resumer interface {
	resume(ctx context.Context, k staging.Record) error
	// finish does so with a rename that was interrupted; catalog.ErrTooYoung: it may yet happen.
	finish(ctx context.Context, k staging.Rename) error
}

// recovery looks after what earlier runs left in staging, as long as the mount lives:
// it goes on with the commits that are owed, and removes what killed writers have left
// long ago. So it does with what this run leaves of removed files.
type recovery struct {
	store   keptStore
	resumer resumer
	project string        // of the mount; drafts of another one are not its business
	ttl     time.Duration // of abandoned drafts; 0: for ever
	now     func() time.Time
	log     *slog.Logger
	left    <-chan struct{} // tells that this run has left something to settle
	refused map[string]bool // drafts whose failure does not pass soon; belongs to the goroutine

	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// start begins the recovery in a goroutine of its own. The caller ends it.
func (r *recovery) start() {
	ctx, cancel := context.WithCancelCause(image.Quietly(context.Background()))
	r.cancel, r.ended, r.refused = cancel, make(chan struct{}), map[string]bool{}
	go func() {
		defer close(r.ended)
		r.run(ctx)
	}()
}

// stop tells the recovery, where there is one, to end: what it is about stays owed.
func (r *recovery) stop() {
	if r != nil {
		r.cancel(image.ErrShutdown)
	}
}

// wait reports whether it ends within the limit: a service that does not answer can
// hold the removal of what it was making for longer.
func (r *recovery) wait(limit time.Duration) bool {
	if r == nil {
		return true
	}
	select {
	case <-r.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

func (r *recovery) run(ctx context.Context) {
	waits := &backoff.ExponentialBackOff{InitialInterval: recoverFirst, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: recoverMost}
	waits.Reset()
	hourly := time.NewTicker(keepEvery)
	defer hourly.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	set := true // a round is to come before the next look
	r.expire()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
			r.expire()
			clear(r.refused) // what is still owed is tried again: a person may have mended something
			again.Reset(0)
			set = true
		case <-look.C:
			if !set {
				again.Reset(0)
				set = true
			}
		case <-r.left:
			if !set { // not at once: the service was away a moment ago
				again.Reset(waits.NextBackOff())
				set = true
			}
		case <-again.C:
			done, left, young, err := r.round(ctx)
			if ctx.Err() != nil {
				return
			}
			if left == young || done > 0 {
				waits.Reset()
			}
			if set = left > 0; !set {
				continue // until something is left, or the next look
			}
			pause := waits.NextBackOff()
			if err != nil { // else others have them, or there is but to wait
				r.log.Warn("files in staging could not be settled yet; they are kept and tried again", "files", left, "error", err, "wait", pause)
			}
			again.Reset(pause)
		}
	}
}

// round tries each rename and then each draft once. Of those left, young are to be looked at
// again when what was asked for them cannot come any more; err is one failure of the others,
// and nil where somebody else has them all.
func (r *recovery) round(ctx context.Context) (done, left, young int64, err error) {
	t := &tries{recovery: r}
	renames, err := r.store.Renames()
	if err != nil {
		return 0, 1, 0, err
	}
	var group errgroup.Group
	group.SetLimit(recoveredAtOnce)
	for _, k := range renames {
		switch {
		case k.Held || t.isRefused(k.ID) || foreignRename(k, r.project):
		case k.Newer:
			t.refuse(k.ID)
			r.log.Error("the journal of a rename was written by a later version of imagefs, and is left to that: until then there may be two images of one name", "path", k.Path, "error", k.Damage)
		case k.Damage != "":
			t.refuse(k.ID)
			r.log.Error("the journal of a rename cannot be read: look whether there are two images of one name, and remove it", "path", k.Path, "error", k.Damage)
		default:
			group.Go(func() error {
				if err := r.resumer.finish(ctx, k); t.ended(k.ID, err) {
					r.log.Error("an interrupted rename cannot be finished; its journal is kept", "name", k.Name, "image", k.Image.ID, "error", err, "journal", k.Path)
				}
				return nil
			})
		}
	}
	_ = group.Wait() // its functions return nothing
	if renames, err = r.store.Renames(); err != nil {
		return 0, 1, 0, err
	}
	kept, err := r.store.Kept()
	if err != nil {
		return 0, 1, 0, err
	}
	waits := undecided(renames)
	group = errgroup.Group{}
	group.SetLimit(recoveredAtOnce)
	for _, k := range kept {
		if t.isRefused(k.Draft) || !r.due(k) || waits[k.Draft] {
			continue
		}
		group.Go(func() error {
			err := r.resumer.resume(ctx, k)
			switch {
			case err == nil && hasLeft(k):
				t.refuse(k.Draft) // what is not half made stays: it is not looked at again at once
			case t.ended(k.Draft, err):
				r.log.Error("a file in staging cannot be settled; it is kept: see imagefs staged", "name", k.Name, "draft", k.Draft,
					"error", err, "data", k.Path)
			}
			return nil
		})
	}
	_ = group.Wait()
	return t.done, t.left, t.young, t.err
}

// tries are those of one round.
type tries struct {
	recovery *recovery

	mu                sync.Mutex // guards recovery.refused and the fields below
	done, left, young int64      // see round
	err               error
}

func (t *tries) isRefused(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.recovery.refused[id]
}

func (t *tries) refuse(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recovery.refused[id] = true
}

// ended notes how one ended, and reports whether it is refused.
func (t *tries) ended(id string, err error) (refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.done++
	case errors.Is(err, errElsewhere): // who has it may only look at it, or be interrupted
		t.left++
	case errors.Is(err, commit.ErrMayCome), errors.Is(err, catalog.ErrTooYoung):
		t.left, t.young = t.left+1, t.young+1
	case commit.Passes(err):
		t.left, t.err = t.left+1, err
	default:
		t.recovery.refused[id] = true
		return true
	}
	return false
}

// due reports whether a kept draft is one that a mount has to do something about.
func (r *recovery) due(k staging.Record) bool {
	what := whatNext(k, r.project)
	return what == goesOn || what == waits && hasLeft(k)
}

// hasLeft reports whether the failed commit of a draft that waits for a person, perhaps
// written since, may have left an image half made: that is removed as soon as the service
// lets it be. Where
// bytes of the draft may be missing, it may be the only whole copy.
func hasLeft(k staging.Record) bool {
	return k.State != staging.StateCommitted && !k.Owed() && !k.Unlinked && k.Image != "" && k.Image != k.Replaces && !k.Uncertain
}

// next is what a mount does with a draft that an earlier run left.
type next int

const (
	waits   next = iota // for a person
	goesOn              // its commit is owed, or what it made is to be removed
	foreign             // it belongs to another project, whose images these credentials do not see
	damaged
)

func whatNext(k staging.Record, project string) next {
	switch {
	case k.Damage != "":
		return damaged
	case k.Project != "" && project != "" && k.Project != project:
		return foreign
	case k.Unlinked && k.Image != "":
		return goesOn
	case k.Owed() && (!k.Uncertain || k.State.Checked()): // from there on its own bytes are not needed
		return goesOn
	default:
		return waits
	}
}

// expire removes what killed writers have left long ago.
func (r *recovery) expire() {
	if r.ttl == 0 {
		return
	}
	gone, err := r.store.ExpireAbandoned(r.now().Add(-r.ttl))
	for _, k := range gone {
		r.log.Info("removed the bytes of a killed writer, which nobody has asked for", "name", k.Name, "draft", k.Draft,
			"bytes", k.Size, "abandoned", k.UpdatedAt, "kept", r.ttl)
	}
	if err != nil {
		r.log.Warn("the bytes of killed writers cannot be looked through or removed; tried again in an hour", "error", err)
	}
}
