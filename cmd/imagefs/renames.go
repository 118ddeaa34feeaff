package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// finishRenames finishes renames that an earlier run was killed in, for which the mount
// waits: what is not finished by then, the recovery finishes. A draft that a rename
// decides about is worth the wait until it is known whether that has happened.
func (r *rooms) finishRenames(ctx context.Context) {
	renames, err := r.staging.Renames()
	if err != nil {
		return // noteKept says so
	}
	ctx, cancel := context.WithTimeout(image.Quietly(ctx), lookUpLimit)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(lookedUpAtOnce)
	for _, k := range renames {
		if k.Damage != "" || k.Held || foreignRename(k, r.client.Project()) {
			continue
		}
		group.Go(func() error {
			err := r.finish(ctx, k)
			if errors.Is(err, catalog.ErrTooYoung) && (k.Gone != "" || k.Moves != "") {
				wait := time.NewTimer(min(catalog.RenameSettles, catalog.RenameSettles-r.client.Now().Sub(k.Begun)))
				defer wait.Stop()
				select {
				case <-wait.C:
					err = r.finish(ctx, k)
				case <-ctx.Done():
				}
			}
			if err != nil {
				r.log.Info("an interrupted rename is finished later", "image", k.Image.ID, "name", k.Name, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nothing
}

// foreignRename reports a rename of another project's mount, whose images these
// credentials may not see.
func foreignRename(k staging.Rename, project string) bool {
	return k.Project != "" && project != "" && k.Project != project
}

// finish finishes one interrupted rename, or takes it back, and with it the drafts that
// it decides about.
func (r *rooms) finish(ctx context.Context, k staging.Rename) (err error) {
	j, err := r.staging.TakeRename(k.ID)
	switch {
	case image.Is(err, image.Busy), image.Is(err, image.NotFound):
		return fmt.Errorf("%w: %w", errElsewhere, err)
	case err != nil:
		return err
	}
	defer func() {
		if _, endErr := j.End(); endErr != nil {
			err = errors.Join(err, endErr)
		}
	}()
	k = j.Rename()
	gone, err := r.takeAlong(k.Gone)
	if err != nil {
		return r.meanwhile(ctx, j, err)
	}
	moves, err := r.takeAlong(k.Moves)
	if err != nil {
		return errors.Join(r.meanwhile(ctx, j, err), leaveDraft(gone))
	}
	err = r.finishWith(ctx, k, j, gone, moves)
	return errors.Join(err, leaveDraft(gone), leaveDraft(moves))
}

// meanwhile finishes a rename whose drafts cannot be had, for why, where it is this mount's
// own: they have been seen to, and may be in use for long.
func (r *rooms) meanwhile(ctx context.Context, j *staging.RenameJournal, why error) error {
	if !errors.Is(why, errElsewhere) {
		return why
	}
	ended, err := r.catalog.FinishOwn(ctx, j.ID())
	if ended {
		j.Settled()
		return nil
	}
	return cmp.Or(err, why)
}

// finishWith does so with the drafts, each nil where there is none (any more).
func (r *rooms) finishWith(ctx context.Context, k staging.Rename, j *staging.RenameJournal, gone, moves *staging.Draft) error {
	carried, err := r.catalog.FinishRename(ctx, k.Rename, r.client.Now().Sub(k.Begun).Abs(), j)
	if err != nil {
		return err
	}
	from, to := place{k.Image.Name, k.From}, place{k.Name, k.To}
	if !carried {
		from, to = to, from
	}
	if err := follow(moves, from, to); err != nil {
		return err
	}
	if gone != nil && carried && !k.Undone && gone.Record().Entry == k.To { // of an undone one it was told that it stays
		r.log.Info("removing a file of an earlier run that another was renamed over", "name", k.Name, "draft", gone.ID())
		if err := unlinkDraft(gone); err != nil {
			return err
		}
	}
	j.Settled()
	return nil
}

// unlinkDraft does what the removal of its file would have done to a draft. What a
// commit of it has left, the recovery removes.
func unlinkDraft(d *staging.Draft) error {
	if err := d.Unlink(); err != nil || d.Record().Image != "" {
		return err
	}
	return d.Discard()
}

// place is what a draft's image will be called, and its entry.
type place struct{ name, entry string }

// follow gives a draft the place of its image, if it has the other one: where it has
// neither, somebody has renamed it since.
func follow(d *staging.Draft, from, to place) error {
	if d == nil {
		return nil
	}
	if rec := d.Record(); rec.Name != from.name || rec.Entry != from.entry {
		return nil
	}
	return d.Rename(to.name, to.entry, nil)
}

// takeAlong takes a draft that a rename decides about; nil where there is none, or none
// that is whole.
func (r *rooms) takeAlong(id string) (*staging.Draft, error) {
	if id == "" {
		return nil, nil
	}
	d, err := r.take(staging.Record{Draft: id}, staging.ReopenSpec{}) // its bytes are not read
	switch {
	case image.Is(err, image.NotFound), image.Is(err, image.Corrupt):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return d, nil
}

// leaveDraft lets go of a draft, where there is one.
func leaveDraft(d *staging.Draft) error {
	if d == nil {
		return nil
	}
	return d.Close()
}

// undecided are the drafts that interrupted renames decide about: none of them is
// committed before, by whomever.
func undecided(renames []staging.Rename) map[string]bool {
	drafts := map[string]bool{}
	for _, k := range renames {
		drafts[k.Gone], drafts[k.Moves] = true, true
	}
	delete(drafts, "")
	return drafts
}

// renameJournal is the journal of a rename as fs and the catalog see it.
type renameJournal struct {
	*staging.RenameJournal
	left chan<- struct{} // see rooms.left
}

// End removes the journal, or leaves the rename to the recovery.
func (j renameJournal) End() error {
	left, err := j.RenameJournal.End()
	if left {
		tell(j.left)
	}
	return err
}

// journals are those of interrupted renames as the catalog sees them.
type journals struct {
	staging *staging.Store
	left    chan<- struct{} // see rooms.left
}

func (r *rooms) journals() journals { return journals{r.staging, r.left} }

// TakeRename holds one of them.
func (j journals) TakeRename(id string) (catalog.HeldJournal, error) {
	taken, err := j.staging.TakeRename(id)
	if err != nil {
		return nil, err
	}
	return renameJournal{taken, j.left}, nil
}

// tell says that something is left to settle.
func tell(left chan<- struct{}) {
	select {
	case left <- struct{}{}:
	default: // it has been told already
	}
}
