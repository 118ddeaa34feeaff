package commit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// takeBack removes the record that the failed try made; where that fails too,
// r.kept names it for the journal. It outlives the cancellation of ctx.
func (r *run) takeBack(ctx context.Context) {
	id := r.made
	r.made = ""
	if id == "" {
		return
	}
	if shutdown(ctx) {
		ctx = image.Briefly(ctx) // what cannot be removed at once is named by the journal
	}
	ctx, cancel := sturdy(ctx)
	defer cancel()
	if r.plan.into != nil {
		r.putBack(ctx, id)
		return
	}
	err := r.removeMade(ctx, id)
	var hideErr error
	if err != nil {
		hideErr = r.hide(ctx, id)
	}
	if err == nil || image.Is(hideErr, image.NotFound) { // gone, perhaps by a deletion that was not answered
		if id == r.late { // the service may make it yet: the journal names it until the next look
			r.kept = id
		}
		return
	}
	r.kept = id
	if r.atOnce() || r.published { // who makes the file anew is to find it, not to make another one beside it
		r.c.names.Doubt(id, r.d.Record().Name)
	}
	what := "what a failed commit made could not be removed; the next commit of this draft, or a mount, removes it"
	if hideErr != nil {
		what = "what a failed commit made could neither be removed nor be hidden, and shows until the next commit of this draft, or a mount, removes it"
		err = fmt.Errorf("%w; %w", err, hideErr)
	}
	r.log.Log(ctx, image.FailureLevel(ctx, slog.LevelError), what, "image", id, "error", err)
}

// removeMade removes what this commit has made. An empty one has shown to all since then:
// it is looked at before each try, and left to whoever fills it.
func (r *run) removeMade(ctx context.Context, id string) error {
	if !r.atOnce() {
		return r.delete(ctx, id, transientOrBusy)
	}
	return again(ctx, transientOrBusy, func(ctx context.Context) error {
		ctx = image.Briefly(ctx)
		img, err := r.c.service.Get(ctx, id)
		switch {
		case image.Is(err, image.NotFound): // also where the deletion before was not answered
			r.c.names.Gone(id)
			return nil
		case err == nil && r.othersFill(img):
			return nil
		case err != nil:
			return err
		}
		return r.delete(ctx, id, transientOrBusy)
	})
}

// hide makes a published image again what it was before it showed: nobody is to see a
// second image of the name where the close has failed. NotFound: it is gone. One that
// anybody may fill goes on showing: the mark would have what they write removed.
func (r *run) hide(ctx context.Context, id string) error {
	if !r.published || r.atOnce() {
		return nil
	}
	ctx, cancel := sturdy(ctx) // removing it may have taken all of the time
	defer cancel()
	err := again(ctx, transientOrBusy, func(ctx context.Context) error {
		_, err := r.c.service.Update(ctx, id, []image.Change{
			{Field: "os_hidden", Value: true},
			{Field: image.PropertyDraft, Property: true, Value: r.d.ID()},
		})
		return err
	})
	if err == nil || image.Is(err, image.NotFound) {
		r.c.names.Gone(id)
	}
	return err
}

// failed journals why the commit failed and what it left, and returns the error
// for the caller, with the one line that the log has about it. Where the entry is
// being removed, the draft goes or is committed again, as that ends; where the
// daemon ends, the next one goes on.
func (r *run) failed(ctx context.Context, err error) error {
	err = wrap(r.rec.Name, err)
	left := r.kept
	if left == "" {
		left = r.rec.Image // of an earlier commit, and this one did not get to it
	}
	unwritten := r.d.Update(func(rec *staging.Record) {
		owed := rec.Accepted || r.turn != nil || shutdown(ctx) || r.owed && Passes(err)
		if errors.Is(err, errUnsettled) {
			rec.Reason = err.Error()
			if rec.State == staging.StateOpen && !owed {
				rec.State = staging.StateFailed
			}
			return
		}
		rec.Image, rec.Reason = left, err.Error()
		switch {
		case rec.State == staging.StateOpen && (r.told || r.rec.State != rec.State): // written since the commit let go of it
			rec.Reason = ""
		case errors.Is(err, image.ErrDeletedSince):
			rec.State, rec.Accepted = staging.StateFailed, false
		case owed && errors.Is(err, errUnsure):
			rec.State = staging.StateVisible
		case owed:
			rec.State = staging.StateCommitting
		default:
			rec.State = staging.StateFailed
			if errors.Is(err, errUnsure) {
				rec.Whole = left
			}
		}
	})
	switch {
	case shutdown(ctx) && unwritten == nil:
		r.log.Warn("commit given up: the daemon ends; the next mount goes on with it", "data", r.d.Path(), "left", left)
		return err
	case removal(ctx) && (left == "" || left == r.late) && unwritten == nil:
		r.log.Info(givenUp)
		return err
	}
	attrs := []any{"kind", image.KindOf(err).String(), "error", err, "data", r.d.Path(), "next", "its bytes wait there; a new write and close begins again"}
	if r.plan.old != nil {
		attrs = append(attrs, "replaces", r.plan.old.ID)
	}
	if left != "" {
		attrs = append(attrs, "left", left)
	}
	if unwritten != nil {
		attrs = append(attrs, "journal", unwritten)
	}
	r.log.Log(ctx, image.FailureLevel(ctx, slog.LevelError), "commit failed; the draft is kept in staging", attrs...)
	return err
}

// dropped ends the commit of a draft whose entry was removed: nothing is left of
// it, and closing it is no error. Where the service keeps something, the journal
// does too, and names what an earlier commit has left where this one did not get to it.
func (r *run) dropped(ctx context.Context) error {
	if r.kept == "" && r.rec.Image != "" {
		r.log.Info("the entry was removed; what an earlier commit has left is removed next", "image", r.rec.Image)
		return nil
	}
	err := r.d.Update(func(rec *staging.Record) {
		rec.State, rec.Image = staging.StateFailed, r.kept
		if rec.Replaces == r.kept { // it was to be the next commit's to replace (finish)
			rec.Replaces = ""
		}
	})
	if r.kept != "" || err != nil {
		return r.failed(ctx, &image.Error{Op: "drop", Image: r.kept, Kind: image.Other, Detail: "the entry was removed; its half-made image could not be", Err: err})
	}
	r.log.Info("the entry was removed; nothing was committed")
	return nil
}
