package commit

import (
	"context"
	"errors"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// believed is how long a look at a record is good enough: most commits do not take long,
// and what has changed since is seen at the next step, a little late.
const believed = time.Second

// findInto reads the queued record that gets the data. One that an earlier commit
// of this draft has spoilt, as its mark and the journal say, is replaced like any other
// image; one that got data from somebody else is left alone: its metadata is taken
// over, nothing else.
func (r *run) findInto(ctx context.Context) (*image.Image, error) {
	into, err := r.lookup(ctx, r.rec.Into)
	switch {
	case err != nil:
		return nil, err
	case into == nil:
		return r.remembered(r.rec.Into), nil
	case into.Status == image.StatusQueued:
		r.plan.into = into
		return into, nil
	case r.fills(*into):
		return into, r.replaceSpoilt(ctx, into)
	}
	if err := r.beside(ctx, *into); err != nil {
		return nil, err
	}
	return into, into.Replaceable(opReplace)
}

// fills reports whether the data that the record into which the draft goes has, or is
// getting, is the draft's own. The mark alone does not tell: it is set before the
// upload, and until then anybody may fill the record. It is gone where an earlier commit
// has published the record and was told something else, or nothing: nobody else takes it
// away.
func (r *run) fills(img image.Image) bool {
	published := mayBePublished(r.rec) && img.Properties[image.PropertyDraft] == ""
	return r.filled || !r.refused && (r.marked(img) || published) && r.d.Record().Filling
}

// replaceSpoilt does with a record that an earlier commit of this draft filled, and could
// not put back, what that one would have done: it is removed, and a new one takes over its
// metadata. One that was published, is in use, or may be the only whole copy of the draft,
// is the image to replace. The journal says so: nothing else would
// tell it from a record that somebody else has filled.
func (r *run) replaceSpoilt(ctx context.Context, into *image.Image) error {
	if r.plan.old != nil { // the draft was moved over yet another image
		return r.delete(ctx, into.ID, transientOrBusy)
	}
	var err error
	if r.plan.members, err = r.members(ctx, *into); err != nil {
		return err
	}
	if r.marked(*into) && !r.rec.Uncertain {
		err := r.removeSpoilt(ctx, into.ID)
		if err == nil {
			r.plan.into = into
			return r.instead()
		}
		if !image.Is(err, image.Busy) {
			return err
		}
	}
	was := r.asFound(*into)
	err = r.settle(func(rec *staging.Record) {
		rec.Into, rec.Filling, rec.Image = "", false, ""
		rec.Replaces, rec.Inherit, rec.Inherited = into.ID, into.ID, &was
	})
	if err == nil {
		r.plan.old = into
	}
	return err
}

// removeSpoilt removes a record that cannot be filled any more, once the journal has the members
// of the plan, which its successor is to have, perhaps by a later commit.
func (r *run) removeSpoilt(ctx context.Context, id string) error {
	if r.plan.old == nil && len(r.plan.members) > 0 {
		var projects []string
		for _, m := range r.plan.members {
			projects = append(projects, m.Project)
		}
		if err := r.settle(func(rec *staging.Record) { rec.Members = projects }); err != nil {
			return err
		}
	}
	return r.delete(ctx, id, transientOrBusy)
}

// sharesAsRemoved has what takes the place of a record that an earlier commit has removed get
// the members of that.
func (r *run) sharesAsRemoved() {
	if r.plan.old != nil || r.plan.into != nil || len(r.plan.members) > 0 {
		return
	}
	for _, project := range r.rec.Members {
		r.plan.members = append(r.plan.members, image.Member{Project: project})
	}
}

// stillEmpty looks at the queued record once more before it is changed, where the wait
// for a place among the uploads, or after a failed try, was long. One that has gone or got data since is
// left, and a new one made (plan.into is nil then).
func (r *run) stillEmpty(ctx context.Context) error {
	if time.Since(r.plan.read) < believed {
		return nil
	}
	now, err := r.lookup(ctx, r.plan.into.ID)
	switch {
	case err != nil:
		return err
	case now == nil:
		return r.instead()
	case now.Status != image.StatusQueued:
		return r.beside(ctx, *now)
	}
	return nil
}

// openQueued makes a queued record ready for its data: formats, hidden, marked.
func (r *run) openQueued(ctx context.Context) (image.Image, error) {
	into := r.plan.into
	r.refused = false
	if err := r.announce(into.ID); err != nil {
		return image.Image{}, err
	}
	if r.plan.empty {
		return *into, nil
	}
	changes := []image.Change{
		{Field: "disk_format", Value: r.plan.create.DiskFormat},
		{Field: "container_format", Value: r.plan.create.ContainerFormat},
		{Field: "os_hidden", Value: true},
		{Field: image.PropertyDraft, Property: true, Value: r.d.ID()},
	}
	var img image.Image
	err := again(ctx, transient, func(ctx context.Context) error {
		var err error
		img, err = r.c.service.Update(ctx, into.ID, changes)
		if image.Is(err, image.Stalled) || image.Is(err, image.Interrupted) {
			r.late = into.ID
		}
		return err
	})
	return img, err
}

// stayEmpty ends the commit of a draft without a byte for the queued record, which is that
// already, unless an earlier commit has made it ready and could not put it back. What has
// been set since is brought to it.
func (r *run) stayEmpty(ctx context.Context) (image.Image, error) {
	into := *r.plan.into
	if r.marked(into) {
		r.made, r.rec.Image = into.ID, ""
	}
	return r.goPublic(ctx, into)
}

// taken notes what the answer to an upload into the queued record says of the data that
// is in there from now on. The journal has it too: the next commit of the draft, or
// the next mount, may be the one that finds the record.
func (r *run) taken(err error) {
	r.filled = err == nil
	r.refused = err != nil && (busyWithin(err) || r.prog.sent.Load() == 0)
	if !r.refused {
		return
	}
	if err := r.settle(func(rec *staging.Record) { rec.Filling = false }); err != nil {
		r.log.Error("the journal could not say that an upload was not taken", "image", r.plan.into.ID, "error", err)
	}
}

// busyWithin reports an upload that was refused, now or in a try before the last, because
// the record was not empty any more.
func busyWithin(err error) bool {
	for e := (*image.Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Kind == image.Busy {
			return true
		}
	}
	return false
}

// beside leaves a record alone that somebody else has filled: what the commit has
// set to make it ready is undone, and a new record takes over its metadata. The directory
// may have the other one as it was; it is hidden where another commit has filled it and failed.
func (r *run) beside(ctx context.Context, now image.Image) error {
	r.c.names.Doubt(now.ID, now.Name)
	r.log.Warn("the empty image got data from elsewhere; a new image is made beside it", "image", now.ID, "status", string(now.Status))
	if r.marked(now) {
		if err := r.unready(ctx, now.ID); err != nil {
			r.log.Error("an image that somebody else has filled stays hidden, as this commit had made it before: unhide it by hand", "image", now.ID, "error", err)
			r.plan.into = nil // the journal goes on naming it as long as the draft is there
			return nil
		}
	}
	if r.plan.into == nil {
		r.plan.into = &now
	}
	return r.instead()
}

// unready takes back what openQueued has set, and has the directory look again.
func (r *run) unready(ctx context.Context, id string) error {
	hidden := r.plan.hidden
	if was := r.remembered(id); r.plan.into == nil && was != nil {
		hidden = was.StaysHidden()
	}
	return again(ctx, transient, func(ctx context.Context) error {
		img, err := r.c.service.Update(ctx, id, []image.Change{
			{Field: "os_hidden", Value: hidden},
			{Field: image.PropertyDraft, Property: true},
		})
		if err == nil {
			r.c.names.Doubt(img.ID, img.Name)
		}
		return err
	})
}

// instead has a new record made in place of plan.into, with the metadata of that.
func (r *run) instead() error {
	was := r.asFound(*r.plan.into)
	r.plan.into = nil
	return r.settle(func(rec *staging.Record) {
		rec.Into, rec.Filling, rec.Image, rec.Inherit, rec.Inherited = "", false, "", was.ID, &was
	})
}

// putBack leaves a queued record as it was found. One that the failed upload has
// brought into another state cannot be filled any more: it is removed, and the
// next try makes a new one with its metadata. One that somebody else fills is theirs.
// The directory asks for one of which nothing is known: hidden, it would go on having the
// name, and the next file of that name would get another.
func (r *run) putBack(ctx context.Context, id string) {
	now, err := r.lookup(ctx, id)
	switch {
	case err != nil:
	case now != nil && now.Status == image.StatusQueued:
		if mark := now.Properties[image.PropertyDraft]; mark != "" && !r.marked(*now) {
			return // another commit has made it ready since, and sees to it
		}
		if err = r.unready(ctx, id); err == nil {
			if id == r.late { // it may be made ready yet: the journal names it until the next look
				r.kept = id
			}
			return
		}
	case now != nil && !r.fills(*now):
		r.overtaken = true
		if err := r.beside(ctx, *now); err != nil {
			r.log.Error("the journal could not say that the empty image is somebody else's", "image", id, "error", err)
		}
		return
	case now != nil:
		if r.plan.old == nil {
			r.plan.members, err = r.members(ctx, *now) // while it is there
		}
		if err == nil {
			err = r.removeSpoilt(ctx, id)
		}
	}
	if err != nil {
		r.kept = id
		r.c.names.Doubt(id, r.rec.Name)
		r.log.Error("an empty image could not be put back after a failed upload; it stays hidden, and the next commit of this draft fills or removes it",
			"image", id, "error", err)
		return
	}
	r.log.Warn("an empty image was spoilt by a failed upload and removed; a new one takes over its metadata", "image", id)
	if err := r.instead(); err != nil {
		r.log.Error("the journal could not name the removed empty image", "image", id, "error", err)
	}
}
