package commit

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// errTaken says that the service has, or had, another image with the chosen id.
var errTaken = errors.New("the image id is taken")

// record makes, or makes ready, the record that gets the data. r.made names it
// from before it can exist. It comes back hidden and marked with the draft (but
// for an empty one that needs none of that: it is whole as it is created, see atOnce).
func (r *run) record(ctx context.Context) (image.Image, error) {
	if r.plan.into != nil {
		if err := r.stillEmpty(ctx); err != nil {
			return image.Image{}, err
		}
	}
	if into := r.plan.into; into != nil {
		img, err := r.openQueued(ctx)
		if !image.Is(err, image.NotFound) {
			return img, err
		}
		r.made = "" // others have deleted it since it was looked at
		r.c.names.Gone(into.ID)
		if err := r.instead(); err != nil {
			return image.Image{}, err
		}
	}
	img, err := r.create(ctx)
	if errors.Is(err, errTaken) {
		img, err = r.create(ctx)
	}
	if err != nil {
		return image.Image{}, err
	}
	if err := r.chown(ctx, img); err != nil {
		return image.Image{}, err
	}
	return img, r.share(ctx, img, r.plan.members)
}

// atOnce reports an empty image that needs no hiding: nothing follows its
// creation that could fail half-way.
func (r *run) atOnce() bool {
	s := r.rec.Settings
	return r.plan.empty && r.plan.old == nil && !r.plan.hidden && s.Hidden == nil && s.Protected == nil
}

// create makes a record with the next id. Trying again with the same id is safe:
// the service refuses the second, and Get tells whose the first is. So it is with a record
// whose creation an earlier process may have under way: one of the two is refused. Where
// that is this one, what has come is removed, lest it be what the draft was then.
func (r *run) create(ctx context.Context) (image.Image, error) {
	missed := r.missed
	r.missed = ""
	id := cmp.Or(missed, r.nextID())
	n := r.plan.create
	n.ID, n.Hidden = id, !r.atOnce()
	n.Properties = r.properties(id)
	if err := r.announce(id); err != nil {
		return image.Image{}, err
	}
	var made image.Image
	reached := false // a request may have got to the service
	err := again(ctx, transient, func(ctx context.Context) error {
		img, err := r.c.service.Create(ctx, n)
		reached = reached || !image.Is(err, image.Unreachable)
		taken := image.Is(err, image.Busy) || image.Is(err, image.Exists)
		if taken || transient(err) {
			found, getErr := r.c.service.Get(ctx, id)
			switch {
			case getErr == nil && r.ours(found) && id == missed && !r.othersFill(found):
				if err = r.delete(ctx, id, transientOrBusy); err == nil {
					err = errTaken
				}
			case getErr == nil && r.ours(found):
				img, err = found, nil
			case getErr == nil, taken && image.Is(getErr, image.NotFound):
				err = errTaken
			case taken && !r.atOnce(): // by a try whose answer was lost, most likely; an empty one may be filled by now
				err = getErr
			}
		}
		made = img
		return err
	})
	switch {
	case errors.Is(err, errTaken):
		r.made = "" // not ours to take back
	case image.Is(err, image.Stalled), image.Is(err, image.Interrupted):
		r.late = id
	case err != nil && !reached:
		r.made, r.kept = "", id // there is hardly anything to take back, and nobody to ask
	}
	if err == nil && made.ID != id {
		r.log.Warn("the service chose another id than it was asked for", "asked", id, "image", made.ID)
		if err = r.announce(made.ID); err != nil {
			r.made = made.ID
		}
	}
	return made, err
}

// announce journals the id of the record that is about to be made or changed.
func (r *run) announce(id string) error {
	err := r.journal(staging.StateCommitting, func(rec *staging.Record) {
		rec.Image, rec.Filling, rec.Empty = id, false, r.plan.empty && r.plan.into == nil
		if r.plan.into != nil { // should it be spoilt and removed, its successor has what it had
			was := r.asFound(*r.plan.into)
			rec.Inherit, rec.Inherited = id, &was
		}
		if r.atOnce() {
			rec.Given = r.rec.Settings // it is published as it is created
		}
	})
	if err != nil {
		return err
	}
	r.made, r.rec.Image = id, "" // what an earlier commit left is settled by now
	r.prog.set(func(p *Progress) { p.Image = id })
	return nil
}

// ours reports whether a record with a chosen id is the one that this commit
// made: marked with the draft, or empty and of the right name, perhaps with the mark of
// another one that fills it (goPublic).
func (r *run) ours(img image.Image) bool {
	if r.atOnce() {
		return img.Status == image.StatusQueued && img.Name == r.plan.create.Name
	}
	return img.Properties[image.PropertyDraft] == r.d.ID()
}

// properties of the new record: carried ones, the mark and the attributes.
func (r *run) properties(id string) map[string]string {
	all := make(map[string]string, len(r.plan.create.Properties)+2)
	for name, value := range r.plan.create.Properties {
		all[name] = value
	}
	if !r.atOnce() {
		all[image.PropertyDraft] = r.d.ID()
	}
	if text := r.attributes(id); text != "" {
		all[image.PropertyAttributes] = text
	}
	return all
}

// attributes is the text of PropertyAttributes as the draft has them now; "" for
// none.
func (r *run) attributes(id string) string {
	own := cmp.Or(r.plan.into, r.plan.adopted) // what was adopted took over from one that may be gone by now
	if r.plan.from != nil {
		own = nil
	}
	a := attributesFor(r.d.Record().Attributes, r.plan.old, own)
	if a.IsZero() {
		return ""
	}
	return a.Encode(id)
}

// chown gives the successor of another project's image to that project.
func (r *run) chown(ctx context.Context, img image.Image) error {
	old := r.plan.old
	if old == nil || old.Owner == "" || img.Owner == "" || old.Owner == img.Owner {
		return nil
	}
	return again(ctx, transient, func(ctx context.Context) error {
		_, err := r.c.service.Update(ctx, img.ID, []image.Change{{Field: "owner", Value: old.Owner}})
		return err
	})
}

// share gives the new image members of the old one, which only a shared image can have.
// An acceptance is the member's own to give: it is lost, and logged.
func (r *run) share(ctx context.Context, img image.Image, members []image.Member) error {
	if img.Visibility != "" && img.Visibility != image.VisibilityShared {
		return nil
	}
	var lost []string
	for _, m := range members {
		if err := again(ctx, transient, func(ctx context.Context) error { return r.addMember(ctx, img.ID, m.Project) }); err != nil {
			return err
		}
		if m.Status == "accepted" {
			lost = append(lost, m.Project)
		}
	}
	if len(lost) > 0 {
		r.log.Warn("the new image is shared with the same projects, which have to accept it again",
			"image", img.ID, "replaced", cmp.Or(r.rec.Replaces, r.rec.Inherit), "projects", lost)
	}
	return nil
}

// addMember adds one project. On a failure it looks whether the project is a
// member all the same: the answer may have been lost.
func (r *run) addMember(ctx context.Context, id, project string) error {
	err := r.c.service.AddMember(ctx, id, project)
	if err == nil || !transient(err) && !image.Is(err, image.Busy) && !image.Is(err, image.Exists) {
		return err
	}
	members, getErr := r.c.service.Members(ctx, id)
	if getErr == nil && slices.ContainsFunc(members, func(m image.Member) bool { return m.Project == project }) {
		return nil
	}
	return err
}
