package commit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// creationSettles is how long ago a journal has to have been written for what it announces
// to count as not happened, where the record is not there, or an empty one not marked: as
// catalog.RenameSettles, longer than a request waits on its way in a service that answers.
const creationSettles = 10 * time.Second

// ErrMayCome says that what an earlier process has asked for is not there yet.
var ErrMayCome = errors.New("the request that makes its image may still be on its way")

// Recover commits a draft that an earlier process left and staging.Reopen has taken
// up, whatever its state: what that process has made at the service is adopted where
// it is ours, whole and right, else removed, and from StateUploaded on the commit
// goes on where it stopped. An unlinked draft is not committed: what was made of it
// is removed, and it may be discarded then; so may one of which there was nothing to
// commit (the zero Image and no error).
//
// An error means what it means for Commit, but that a draft whose commit was owed
// (Record.Owed) stays so where the failure passes (Passes): the next Recover, of this
// process or another, goes on.
func (c *Committer) Recover(ctx context.Context, d *staging.Draft) (image.Image, error) {
	rec := d.Record()
	if rec.Unlinked {
		_, err := c.Withdraw(ctx, d)
		return image.Image{}, err
	}
	return c.commit(ctx, d, job{always: rec.Owed() || rec.Base == "", owed: rec.Owed()})
}

// Withdraw removes what a commit of the draft has left at the service: an image that
// is still marked with the draft, and of an unlinked draft also one that was
// published. Anything else that the journal names stays, and its id is returned. The
// journal is not changed: the draft is to be discarded, or the caller notes it.
//
// ErrMayCome: an image, or the hiding of an empty one, was asked for so lately, and not
// answered, that it may come after this look. Nothing else would know it by then, so the draft is kept, and looked after later.
func (c *Committer) Withdraw(ctx context.Context, d *staging.Draft) (stays string, err error) {
	rec := d.Record()
	if rec.Image == "" || rec.Image == rec.Replaces {
		return "", nil
	}
	r := &run{c: c, d: d, rec: rec, log: c.log.With("name", rec.Name, "draft", d.ID())}
	left, err := r.inPlace(ctx, rec.Image)
	switch {
	case err != nil:
		return "", wrap(rec.Name, cause(ctx, err))
	case left == nil && mayCome(rec) && d.Age().Abs() < creationSettles:
		return "", wrap(rec.Name, unsettled(ErrMayCome))
	case left == nil:
		return "", nil
	case rec.Empty && rec.Image != rec.Into && r.othersFill(*left):
		return left.ID, nil
	case rec.Image == rec.Into && left.Status == image.StatusQueued && !r.marked(*left):
		if d.Age().Abs() < creationSettles {
			return "", wrap(rec.Name, unsettled(ErrMayCome))
		}
		return "", nil // as it was found
	case r.marked(*left) && rec.Image == rec.Into:
		r.plan.into, r.plan.hidden = left, r.asFound(*left).StaysHidden()
		r.putBack(ctx, left.ID)
		if r.overtaken {
			return left.ID, nil
		}
		return r.kept, nil
	case !r.marked(*left) && (!rec.Unlinked || rec.Image == rec.Into || !mayBePublished(rec) && !rec.State.Checked() && !rec.Empty):
		return left.ID, nil
	}
	if err := r.remove(ctx, *left); err != nil {
		return "", wrap(rec.Name, cause(ctx, err))
	}
	r.log.Info("removed what a commit had left", "image", left.ID)
	return "", nil
}

// errUnsettled says that it could not be found out what an earlier commit has left:
// the journal goes on naming it, in the state that it has.
var errUnsettled = errors.New("what an earlier commit left is not settled")

func unsettled(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnsettled, err)
}

// resume settles what an earlier commit of this draft left at the service. It
// returns the image to publish where that is whole, and nil where the commit begins
// anew. An unsettled error has changed nothing.
func (r *run) resume(ctx context.Context) (*image.Image, error) {
	id, state := r.rec.Image, r.rec.State
	if id == "" || id == r.rec.Replaces {
		return nil, nil
	}
	left, err := r.inPlace(ctx, id)
	if err == nil && left != nil && inTransit(left.Status, nil) && !state.Checked() {
		r.prog.phase(Checking)
		// The service may have every byte and be storing them. Where it does not get on
		// with it the record counts as partial; the error says no more than that.
		_, _ = r.await(ctx, id, nil)
		left, err = r.inPlace(ctx, id)
	}
	if err != nil {
		return nil, unsettled(err)
	}
	if left == nil {
		return nil, r.vanished(ctx)
	}
	if !r.checked() || !r.complete(*left) {
		same, err := r.same(ctx, *left)
		if err != nil {
			return nil, unsettled(err)
		}
		if !same {
			return nil, r.clear(ctx, *left)
		}
		r.log.Info("an earlier commit has uploaded this draft whole; it is adopted", "image", id)
	}
	return left, r.adopt(ctx, left)
}

// checked reports whether the image that the journal names has been found to have the
// bytes of the draft, which have not changed since.
func (r *run) checked() bool {
	return r.rec.State.Checked() || r.rec.Whole != "" && r.rec.Whole == r.rec.Image
}

// marked reports whether the record is one that a commit of this draft is making.
func (r *run) marked(img image.Image) bool { return img.Properties[image.PropertyDraft] == r.d.ID() }

// mayBePublished reports whether a commit that has failed since may have published the
// image that the journal names, and so have taken the mark from it. Elsewhere the
// journal announces the record, which may be anybody's without the mark, but for an empty one
// (Record.Empty).
func mayBePublished(rec staging.Record) bool {
	switch rec.State {
	case staging.StateOpen, staging.StateFailed, staging.StateAbandoned:
		return true
	default:
		return rec.Accepted
	}
}

// mayCome reports whether the journal names a record that was asked for, and which the service
// may not have answered: where a commit has failed since, that is what it may have failed of.
func mayCome(rec staging.Record) bool {
	switch rec.State {
	case staging.StateCommitting, staging.StateOpen, staging.StateFailed, staging.StateAbandoned:
		return rec.Image != rec.Into
	default:
		return false
	}
}

// othersFill reports whether somebody else has filled, or is filling, what this draft has
// made without data: it showed to all, and to this mount after the draft was removed.
func (r *run) othersFill(made image.Image) bool {
	return !r.marked(made) && (made.Status != image.StatusQueued || made.Properties[image.PropertyDraft] != "")
}

// remove removes what an earlier commit left. One that anybody may fill is asked for once:
// it is to be looked at anew before another try.
func (r *run) remove(ctx context.Context, left image.Image) error {
	if r.rec.Empty && !r.marked(left) {
		ctx = image.Briefly(ctx)
	}
	return r.delete(ctx, left.ID, transientOrBusy)
}

// complete reports whether a record that was checked before still has its data.
func (r *run) complete(img image.Image) bool {
	return img.Status == image.StatusActive || img.Status == image.StatusQueued && r.snap.Size() == 0
}

// same reports whether the record is ours and has exactly the draft's bytes. Bytes
// for which the service names no hash are not known to be the same.
func (r *run) same(ctx context.Context, img image.Image) (bool, error) {
	if r.snap.Size() == 0 {
		hides := r.rec.Settings.Hidden
		atOnce := r.rec.Replaces == "" && (!img.Hidden || hides != nil && *hides) && img.Name == r.rec.Name
		return img.Status == image.StatusQueued && img.ID != r.rec.Into && (r.marked(img) || atOnce), nil
	}
	if img.Status != image.StatusActive || img.Size != r.snap.Size() {
		return false, nil
	}
	for _, claim := range []struct{ algo, value string }{{img.HashAlgo, img.HashValue}, {algoMD5, img.Checksum}} {
		if claim.value == "" || image.NewHash(claim.algo) == nil {
			continue
		}
		sum, _, err := r.rehash(ctx, claim.algo)
		return err == nil && sum == claim.value, err
	}
	return false, nil
}

// vanished settles that the image which the journal names is not there (any more). One that
// was only announced may yet come, where the request of a killed daemon, or of a commit that
// has failed, is slow: create takes its place.
// One that was visible somebody has removed since: where nothing has come in its
// place, only the user can know whether its bytes are to come back.
func (r *run) vanished(ctx context.Context) error {
	if r.rec.State == staging.StateVisible {
		old, err := r.predecessor(ctx)
		if err != nil {
			return unsettled(err)
		}
		if old == nil {
			gone := r.rec.Image
			r.rec.Image = "" // failed journals that
			return &image.Error{Op: "recover", Image: gone, Kind: image.Stale, Err: image.ErrDeletedSince}
		}
	}
	if mayCome(r.rec) {
		r.missed = r.rec.Image
	}
	return r.settle(func(rec *staging.Record) { rec.Image = "" })
}

// clear removes what an earlier commit left, or lets go of it where it is not ours.
// One that had become visible, while what it replaced is gone, counts as the image to
// replace: the name is never without one.
func (r *run) clear(ctx context.Context, left image.Image) error {
	if left.ID == r.rec.Into {
		if r.marked(left) {
			return nil // to be filled, or replaced: findInto knows
		}
		return r.settle(func(rec *staging.Record) { rec.Image = "" })
	}
	switch {
	case r.rec.Uncertain && left.Status == image.StatusActive:
		return unsettled(&image.Error{Op: "recover", Image: left.ID, Kind: image.Corrupt,
			Detail: "the draft may have lost bytes, and the image that was made of it differs: neither is removed"})
	case r.marked(left):
	case !mayBePublished(r.rec) && !r.rec.Empty, r.rec.Empty && r.othersFill(left):
		r.log.Warn("the image that the journal names is not marked with this draft; it is left alone", "image", left.ID)
		return r.settle(func(rec *staging.Record) { rec.Image = "" })
	default:
		old, err := r.predecessor(ctx)
		if err != nil {
			return unsettled(err)
		}
		if old == nil && left.Name == r.rec.Name {
			return r.settle(func(rec *staging.Record) {
				rec.Replaces, rec.Inherit, rec.Inherited, rec.Image = left.ID, left.ID, &left, ""
			})
		}
	}
	if err := r.remove(ctx, left); err != nil {
		return unsettled(err)
	}
	r.log.Info("removed what an earlier commit left", "image", left.ID)
	return r.settle(func(rec *staging.Record) { rec.Image = "" })
}

// adopt makes the plan of a commit whose image is there already, and does what may
// be missing before it is published. Where it must not be published it is taken back.
func (r *run) adopt(ctx context.Context, img *image.Image) error {
	r.plan = plan{empty: r.snap.Size() == 0, keep: r.d.ShowsBase(), adopted: img, read: time.Now()}
	if img.ID == r.rec.Into {
		r.plan.into = img
		r.filled = r.checked() || r.marked(*img) && r.rec.Filling
	}
	err := r.findOld(ctx)
	r.sharesAsRemoved()
	source := r.plan.old
	if err == nil && source == nil && r.rec.Inherit != "" && r.rec.Inherit != img.ID {
		source, err = r.lookup(ctx, r.rec.Inherit)
		source = cmp.Or(source, r.remembered(r.rec.Inherit))
	}
	source = cmp.Or(source, r.plan.into)
	r.plan.hidden = source != nil && r.asFound(*source).StaysHidden()
	switch {
	case !r.marked(*img):
		r.plan.hidden = img.Hidden // it was published, and is as it shall be
	case r.plan.old != nil && r.plan.into == nil && (r.rec.Inherit == "" || r.rec.Inherit == r.plan.old.ID):
		r.plan.from = img // what it has been given of old, some time ago
	}
	if !r.checked() {
		if err == nil && r.plan.into == nil {
			err = r.chown(ctx, *img)
		}
		if err == nil && r.plan.into == nil {
			err = r.share(ctx, *img, r.plan.members)
		}
		if err == nil {
			err = r.journal(staging.StateUploaded, nil)
		}
	}
	switch {
	case err == nil:
		r.made, r.rec.Image = img.ID, ""
	case Passes(err):
		return unsettled(err)
	default:
		r.made, r.rec.Image = img.ID, ""
		r.takeBack(ctx)
	}
	return err
}

// retired reports whether the replaced image has been taken away already: it lies in
// the trash, or has another name by now. An earlier commit has given it the name of one
// that cannot be deleted, or somebody has renamed it to keep it.
func (r *run) retired(old image.Image) bool {
	if _, trashed := old.Trashed(); trashed {
		return true
	}
	known := r.rec.Inherited
	return old.Name != r.rec.Name && old.Name != r.d.Record().Name && (known == nil || known.ID != old.ID || old.Name != known.Name)
}

// predecessor reads the image that the draft replaces; nil where there is none, or it
// has been retired.
func (r *run) predecessor(ctx context.Context) (*image.Image, error) {
	if r.rec.Replaces == "" {
		return nil, nil
	}
	old, err := r.lookup(ctx, r.rec.Replaces)
	if old != nil && r.retired(*old) {
		old = nil
	}
	return old, err
}
